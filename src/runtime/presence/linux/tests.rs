use super::*;

const A: InstanceId = InstanceId::new(0xa);
const B: InstanceId = InstanceId::new(0xb);
const S: Tag = Tag::new(1);
const T: Tag = Tag::new(0xfedc_ba98_7654_3210);

fn line(path: &str) -> String {
    format!("0000000000000000: 00000002 00000000 00000000 0002 01 {:5} {path}\n", 4711)
}

fn found(list: &[u8]) -> Vec<(InstanceId, Tag)> {
    let mut found = Found::default();
    found.add(21_077, list);
    found.members.into_iter().collect()
}

#[test]
fn only_memberships_of_this_port_are_found() {
    let list = [
        "Num       RefCount Protocol Flags    Type St Inode Path\n".to_owned(),
        line("@bellwether/21077/000000000000000b/m/0000000000000001"),
        line("@bellwether/21077/000000000000000a"),
        line("@bellwether/2107/000000000000000c/m/0000000000000001"),
        line("@bellwether/210777/000000000000000c/m/0000000000000001"),
        line("/run/systemd/notify"),
        line("@bellwether/21077/000000000000000a/m/fedcba9876543210"),
        line("@bellwether/21077/000000000000000a/m/0000000000000001"),
    ];
    assert_eq!(found(list.concat().as_bytes()), [(A, S), (A, T), (B, S)], "one of them is saying hello");
}

#[test]
fn garbage_is_skipped() {
    for path in [
        "@bellwether/21077/000000000000000A/m/0000000000000001",
        "@bellwether/21077/00000000000000a/m/0000000000000001",
        "@bellwether/21077/0000000000000000a/m/0000000000000001",
        "@bellwether/21077/+00000000000000a/m/0000000000000001",
        "@bellwether/21077/000000000000000g/m/0000000000000001",
        "@bellwether/21077//m/0000000000000001",
        "@bellwether/21077/000000000000000a/m",
        "@bellwether/21077/000000000000000a/m/",
        "@bellwether/21077/000000000000000a/m/000000000000000F",
        "@bellwether/21077/000000000000000a/m/+000000000000001",
        "@bellwether/21077/000000000000000a/m/000000000000001",
        "@bellwether/21077/000000000000000a/m/00000000000000001",
        "@bellwether/21077/000000000000000a/n/0000000000000001",
        "@bellwether/21077/000000000000000a/m/0000000000000001@",
        "@bellwether/21077/000000000000000a/m/0000000000000001 ",
        "@bellwether/021077/000000000000000a/m/0000000000000001",
        " @bellwether/21077/000000000000000a/m/0000000000000001",
        "x @bellwether/21077/000000000000000a/m/0000000000000001",
        "/@bellwether/21077/000000000000000a/m/0000000000000001",
        "",
    ] {
        assert_eq!(found(line(path).as_bytes()), [], "{path:?}");
    }
    let good = line("@bellwether/21077/000000000000000a/m/0000000000000001");
    let stream = good.replace(" 0002 ", " 0001 ");
    assert_eq!(found(stream.as_bytes()), []);
    for end in 0..good.len() - 1 {
        assert_eq!(found(&good.as_bytes()[..end]), [], "{end}");
    }
    let among = [
        b"\xff\xfe\n\n \n@bellwether/21077/000000000000000b/m/0000000000000001\n".as_slice(),
        good.as_bytes(),
        b"\0: :",
    ]
    .concat();
    assert_eq!(found(&among), [(A, S)]);
}

#[test]
fn a_list_without_the_one_who_asks_is_not_trusted() {
    let presence = line("@bellwether/21077/000000000000000a");
    let membership = line("@bellwether/21077/000000000000000a/m/0000000000000001");
    for (list, tags, trusted) in [
        (presence.clone(), &[][..], true),
        (presence.clone(), &[S], false),
        ([presence.clone(), membership.clone()].concat(), &[S], true),
        ([presence, membership.clone()].concat(), &[S, T], false),
        (membership, &[S], false),
        (String::new(), &[], false),
    ] {
        let mut found = Found::default();
        found.add(21_077, list.as_bytes());
        assert_eq!(found.shows(A, tags), trusted, "{list} {tags:?}");
    }
}

#[test]
fn what_one_reading_missed_another_shows() {
    let a = line("@bellwether/21077/000000000000000a/m/0000000000000001");
    let both = [a.clone(), line("@bellwether/21077/000000000000000b/m/0000000000000001")].concat();
    for (readings, members, read) in [
        (vec![&both, &both], vec![(A, S), (B, S)], 2),
        (vec![&a, &both, &a], vec![(A, S), (B, S)], 3),
        (vec![&a, &a, &both], vec![(A, S)], 2),
    ] {
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

#[test]
fn the_membership_of_the_last_reign_stays_until_the_next_one_and_every_hello_has_its_own() {
    let port = crate::runtime::testing::free_port();
    let mut sockets = Sockets::bind(port, A).unwrap();
    sockets.join(port, A).unwrap();
    let [reign] = sockets.tags()[..] else { panic!("one") };
    sockets.join(port, A).unwrap();
    assert_eq!(sockets.tags(), [reign], "part of the same reign");
    sockets.show_another(port, A).unwrap();
    let [_, lost] = sockets.tags()[..] else { panic!("two") };
    sockets.show_another(port, A).unwrap();
    let [first, hello] = sockets.tags()[..] else { panic!("two") };
    assert!(first == reign && hello != lost && hello != reign);
    let Ok(RollCall::Everyone(shown)) = roll_call(port, Some((A, sockets.tags()))) else { panic!("a list") };
    assert_eq!(BTreeSet::from_iter(shown), BTreeSet::from([(A, reign), (A, hello)]));
    assert!(!membership_gone(port, A, &[reign, lost]), "who was shown under two is not gone with one of them");
    assert!(membership_gone(port, A, &[lost]));
    assert!(!membership_gone(port, A, &[]), "of whom nothing was shown nothing is known");
    sockets.join(port, A).unwrap();
    assert_eq!(sockets.tags(), [hello]);
    sockets.leave();
    assert!(membership_gone(port, A, &[reign, lost, hello]));
}

#[test]
fn any_number_of_instances_ask_for_the_same_name_at_once() {
    let (port, lives) = (crate::runtime::testing::free_port(), InstanceId::new(0x11fe));
    let _sockets = Sockets::bind(port, lives).expect("the presence");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    assert!(presence_gone(port, A), "nobody has it, but many ask for it");
                    assert!(!presence_gone(port, lives));
                }
            });
        }
    });
}
