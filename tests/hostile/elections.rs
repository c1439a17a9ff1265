//! Strangers that make elections go wrong: by what they speak, and by the numbers that they bring.

use bellwether::wire::message::{ToMember, ToSupervisor};

use super::identity::say_and_hang_up;
use super::*;

/// Kills one supervisor after the other until one member is left; each time the others elect.
fn fail_over(fleet: &Fleet, mut members: Vec<Member>) {
    let mut epoch = 0;
    while members.len() > 1 {
        let agreed = fleet.agree(&members);
        assert!(agreed.epoch > epoch);
        epoch = agreed.epoch;
        let supervisor = members.remove(agreed.supervisor);
        supervisor.process.kill();
        supervisor.process.reap();
    }
    members[0].reign_after(epoch);
}

#[test]
fn strangers_of_another_wire_version_under_a_faked_membership_do_not_stop_the_elections() {
    let fleet = Fleet::with("limit=2000");
    let members = fleet.members(5, "");
    fleet.agree(&members);
    let id = InstanceId::new(0x0bad_0bad_0bad_0bad);
    let _membership = show(format!("bellwether/{}/{id}/m/0000000000000001", fleet.port));
    let mut foreign = encoded(&[hello(id.number(), 1)]);
    foreign[9..11].copy_from_slice(&(WIRE_VERSION + 6).to_be_bytes());
    let port = fleet.port;
    let _nuisance = Nuisance::new(move || {
        std::thread::sleep(Duration::from_millis(1));
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let _ = stream.write_all(&foreign);
        }
    });
    fail_over(&fleet, members);
}

#[test]
fn a_newcomer_with_a_number_near_the_end_does_not_use_the_numbers_up() {
    let fleet = Fleet::with("limit=none");
    let mut members = fleet.members(7, "");
    let agreed = fleet.agree(&members);
    let supervisor = members.remove(agreed.supervisor);
    let stopped = members.last().unwrap().clone();
    stopped.process.stop();
    let marks: Vec<_> = members.iter().map(|member| member.process.mark()).collect();
    supervisor.process.kill();
    supervisor.process.reap();
    for (member, mark) in members.iter().zip(marks).filter(|(member, _)| member.id != stopped.id) {
        member.event(mark, "the welcome in the open window", |event| (event.kind() == "welcomed").then_some(()));
    }
    let ToSupervisor::Join(mut join) = join(&fleet.group) else { unreachable!("it is a join") };
    join.base = Token::new((1 << 63) - (1 << 22));
    let words = [hello(9, 1), ToSupervisor::Join(join), ToSupervisor::ClaimsEnd];
    let frames = say_and_hang_up(fleet.port, &encoded(&words));
    stopped.process.resume();
    fail_over(&fleet, members);
    assert!(matches!(frames[..], [ToMember::Refused(Refusal::Protocol(_))]), "{frames:?}");
}
