use super::*;

const A: InstanceId = InstanceId::new(0xa);
const B: InstanceId = InstanceId::new(0xb);

fn line(path: &str) -> String {
    format!("0000000000000000: 00000002 00000000 00000000 0002 01 {:5} {path}\n", 4711)
}

fn found(list: &[u8]) -> Vec<InstanceId> {
    let mut found = Found::default();
    found.add(21_077, list);
    found.members.into_iter().collect()
}

#[test]
fn only_memberships_of_this_port_are_found() {
    let list = [
        "Num       RefCount Protocol Flags    Type St Inode Path\n".to_owned(),
        line("@bellwether/21077/000000000000000b/m"),
        line("@bellwether/21077/000000000000000a"),
        line("@bellwether/2107/000000000000000c/m"),
        line("@bellwether/210777/000000000000000c/m"),
        line("/run/systemd/notify"),
        line("@bellwether/21077/000000000000000a/m"),
    ];
    assert_eq!(found(list.concat().as_bytes()), [A, B]);
}

#[test]
fn garbage_is_skipped() {
    for path in [
        "@bellwether/21077/000000000000000A/m",
        "@bellwether/21077/00000000000000a/m",
        "@bellwether/21077/0000000000000000a/m",
        "@bellwether/21077/+00000000000000a/m",
        "@bellwether/21077/000000000000000g/m",
        "@bellwether/21077//m",
        "@bellwether/21077/000000000000000a/m@",
        "@bellwether/21077/000000000000000a/m ",
        "@bellwether/021077/000000000000000a/m",
        " @bellwether/21077/000000000000000a/m",
        "x @bellwether/21077/000000000000000a/m",
        "/@bellwether/21077/000000000000000a/m",
        "",
    ] {
        assert_eq!(found(line(path).as_bytes()), [], "{path:?}");
    }
    let good = line("@bellwether/21077/000000000000000a/m");
    let stream = good.replace(" 0002 ", " 0001 ");
    assert_eq!(found(stream.as_bytes()), []);
    for end in 0..good.len() - 1 {
        assert_eq!(found(&good.as_bytes()[..end]), [], "{end}");
    }
    let among =
        [b"\xff\xfe\n\n \n@bellwether/21077/000000000000000b/m\n".as_slice(), good.as_bytes(), b"\0: :"].concat();
    assert_eq!(found(&among), [A]);
}

#[test]
fn a_list_without_the_one_who_asks_is_not_trusted() {
    let presence = line("@bellwether/21077/000000000000000a");
    let membership = line("@bellwether/21077/000000000000000a/m");
    for (list, member, trusted) in [
        (presence.clone(), false, true),
        (presence.clone(), true, false),
        ([presence, membership.clone()].concat(), true, true),
        (membership, true, false),
        (String::new(), false, false),
    ] {
        let mut found = Found::default();
        found.add(21_077, list.as_bytes());
        assert_eq!(found.shows((A, member)), trusted, "{list} {member}");
    }
}

#[test]
fn what_one_reading_missed_another_shows() {
    let a = line("@bellwether/21077/000000000000000a/m");
    let both = [a.clone(), line("@bellwether/21077/000000000000000b/m")].concat();
    for (readings, members, read) in
        [(vec![&both, &both], vec![A, B], 2), (vec![&a, &both, &a], vec![A, B], 3), (vec![&a, &a, &both], vec![A], 2)]
    {
        let mut count = 0;
        let found = read_all(21_077, || {
            count += 1;
            Ok(readings[count - 1].clone().into_bytes())
        });
        assert_eq!(found.unwrap().members.into_iter().collect::<Vec<_>>(), members);
        assert_eq!(count, read);
    }
    assert!(read_all(21_077, || Err(io::ErrorKind::PermissionDenied.into())).is_err());
}
