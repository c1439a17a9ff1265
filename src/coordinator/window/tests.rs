use super::*;
use crate::ident::{Attempt, Name};
use crate::wire::message::{Hello, Profile, Purpose, Trust};

const fn id(number: u64) -> InstanceId {
    InstanceId::new(number)
}

fn roll(ids: &[u64]) -> RollCall {
    RollCall::Everyone(ids.iter().map(|number| (id(*number), Tag::new(*number))).collect())
}

/// Somebody with this closed view; no epoch: a newcomer.
fn member(epoch: u64, known: &[u64]) -> (Join, Submission) {
    let profile =
        Profile { pid: 0, version: 0, since: 0, presence: 0, paused: false, label: "".into(), payload: [].into() };
    let stamp = Stamp { epoch: Epoch::new(epoch), n: epoch.min(1) };
    let group = Name::new("group").expect("a short name");
    let join = Join {
        group,
        stamp,
        epoch: stamp.epoch,
        base: Token::new(epoch),
        state: Stamp::default(),
        stopping: false,
        profile,
    };
    let (attempt, nonce) = (Attempt::default(), Nonce::new(1));
    let hello = Hello { wire: 1, purpose: Purpose::Member, trust: Trust::Open, id: id(0), attempt, nonce };
    let mut submission = Submission::new(hello);
    submission.known = known.iter().map(|number| (id(*number), Nonce::new(*number))).collect();
    (join, submission)
}

fn called(roll: RollCall) -> Window {
    let mut window = Window::new(id(1), Rules::ALL);
    window.called(id(1), roll);
    window
}

fn back(window: &mut Window, number: u64, epoch: u64, known: &[u64]) {
    let (join, submission) = member(epoch, known);
    window.survivor(id(number), &join, &submission, number == 1);
}

#[test]
fn everyone_named_or_found_is_accounted_for_before_the_window_is_complete() {
    let mut window = called(roll(&[1, 2, 4]));
    back(&mut window, 1, 1, &[1, 2, 3]);
    assert_eq!(window.awaited().collect::<Vec<_>>(), [id(2), id(3)]);
    assert_eq!(window.unnamed().collect::<Vec<_>>(), [id(4)]);
    back(&mut window, 2, 1, &[1, 2, 3]);
    window.ended(id(3), EndReason::Failed);
    assert!(!window.is_complete());
    window.membership_ended(id(4));
    assert!(window.is_complete());
}

#[test]
fn without_the_kernels_word_the_window_stays_open() {
    let mut window = Window::new(id(1), Rules::ALL);
    back(&mut window, 1, 1, &[1, 2]);
    back(&mut window, 2, 1, &[1, 2]);
    assert!(!window.is_complete());
    assert!(!window.wait(Duration::from_secs(9), Some(Duration::from_secs(5))), "nor does its limit run");
    window.called(id(1), roll(&[1, 2, 3]));
    assert_eq!(window.unnamed().collect::<Vec<_>>(), [id(3)], "who is back already is not awaited again");
    window.membership_ended(id(3));
    assert!(window.is_complete());
}

#[test]
fn who_was_found_gone_is_not_awaited_again_when_a_survivor_names_it() {
    let mut window = called(roll(&[1, 2]));
    back(&mut window, 1, 1, &[1, 2, 3]);
    window.ended(id(3), EndReason::Failed);
    back(&mut window, 2, 1, &[1, 2, 3]);
    assert!(window.is_complete());
}

#[test]
fn a_newcomer_that_a_survivor_knows_already_is_not_awaited_again() {
    let mut window = called(roll(&[1, 2]));
    back(&mut window, 1, 1, &[1, 2]);
    window.newcomer(id(3), &member(0, &[]).0);
    back(&mut window, 2, 1, &[1, 2, 3]);
    assert!(window.is_complete());
    window.unaccount(id(3));
    assert!(window.is_complete(), "it holds nothing");
}

#[test]
fn a_survivor_that_loses_its_connection_is_awaited_again() {
    let mut window = called(roll(&[1, 2]));
    back(&mut window, 1, 1, &[1, 2]);
    back(&mut window, 2, 1, &[1, 2]);
    window.unaccount(id(2));
    assert_eq!(window.awaited().collect::<Vec<_>>(), [id(2)]);
}

#[test]
fn who_is_missing_in_a_newer_closed_view_has_forfeited() {
    let mut window = called(roll(&[1, 2, 3]));
    back(&mut window, 1, 1, &[1, 2, 3]);
    back(&mut window, 2, 2, &[2, 3]);
    back(&mut window, 3, 1, &[1, 2, 3]);
    assert_eq!(window.forfeiters(), BTreeSet::from([id(1)]), "3 is late as well, but still a member");
}

#[test]
fn the_numbers_of_a_reign_lie_above_all_that_anybody_heard_of() {
    let mut window = called(roll(&[1]));
    back(&mut window, 1, 7_000_000_000, &[1]);
    let base = 7_000_000_000 + numbers::STEP;
    for clock in [9, numbers::LAST] {
        let (epoch, token) = window.numbers(id(1), Token::new(5), clock);
        assert_eq!(token.number(), base.max(clock));
        assert!(epoch.number() >= token.number() && epoch.number() - token.number() <= 0xffff, "{epoch}");
    }
}

#[test]
fn two_reigns_that_know_nothing_of_each_other_have_different_epochs() {
    let mut window = called(roll(&[1]));
    back(&mut window, 1, 7, &[1]);
    let epochs = [1, 2, 0xffff, 0x10_0000].map(|me| window.numbers(id(me), Token::new(5), 9).0);
    assert_eq!(BTreeSet::from(epochs).len(), 4);
}

#[test]
fn a_survivor_whose_copy_is_on_its_way_is_not_accounted_for() {
    let mut window = called(roll(&[1, 2]));
    back(&mut window, 1, 1, &[1, 2]);
    back(&mut window, 2, 1, &[1, 2]);
    window.fetching(id(2));
    assert!(!window.is_complete());
    window.unaccount(id(2));
    window.fetched(id(2));
    assert!(!window.is_complete(), "its connection ended before");
    back(&mut window, 2, 1, &[1, 2]);
    window.fetching(id(2));
    window.fetched(id(2));
    assert!(window.is_complete());
}

#[test]
fn without_a_list_one_witness_besides_the_winner_is_enough() {
    let mut window = called(RollCall::Somebody(true));
    back(&mut window, 1, 1, &[1]);
    assert!(!window.is_complete(), "the winner is no witness for itself");
    back(&mut window, 2, 1, &[1, 2]);
    assert!(window.is_complete());
}

#[test]
fn a_list_that_comes_late_names_those_who_are_awaited_and_lets_nobody_else_be() {
    let mut window = called(RollCall::Somebody(true));
    back(&mut window, 1, 1, &[1]);
    window.called(id(1), roll(&[1, 2]));
    assert!(!window.awaits_stranger() && !window.is_complete(), "2 is there");
    window.membership_ended(id(2));
    assert!(window.is_complete() && window.follows_a_reign());
}

#[test]
fn only_a_reign_of_which_nobody_and_nothing_is_left_has_no_successor() {
    let mut window = called(roll(&[1]));
    window.newcomer(id(1), &member(0, &[]).0);
    assert!(!window.follows_a_reign());
    let mut window = called(roll(&[1, 2]));
    window.newcomer(id(1), &member(0, &[]).0);
    window.membership_ended(id(2));
    assert!(window.is_complete() && window.follows_a_reign(), "2 may have died holding anything");
}

#[test]
fn who_forfeited_is_not_awaited_while_it_shows_the_same_membership_and_no_other() {
    let forfeit = |number: u64, tag: u64| (id(number), Tag::new(tag));
    for (brought, shown, skipped) in [
        (vec![forfeit(3, 3)], vec![3], true),
        (vec![forfeit(3, 3), forfeit(3, 4)], vec![3, 4], true),
        (vec![forfeit(3, 3)], vec![3, 4], false),
        (vec![forfeit(3, 4)], vec![3], false),
        (vec![forfeit(2, 3)], vec![3], false),
        (vec![forfeit(3, 3)], vec![], false),
    ] {
        let tags = shown.iter().map(|tag| forfeit(3, *tag)).chain([forfeit(1, 1)]);
        let mut window = called(RollCall::Everyone(tags.collect()));
        let (join, mut submission) = member(1, &[1, 3]);
        submission.forfeits = brought.iter().copied().collect();
        window.survivor(id(1), &join, &submission, true);
        assert_eq!(window.is_complete(), skipped, "{brought:?} {shown:?}");
        assert!(window.knows(id(3)));
        assert_eq!(window.departed(), if skipped { vec![(id(3), EndReason::Evicted)] } else { Vec::new() });
        let kept: Vec<_> =
            brought.into_iter().filter(|(of, tag)| *of == id(3) && shown.contains(&tag.number())).collect();
        assert_eq!(window.forfeits(), kept);
    }
}

#[test]
fn the_limit_ends_whoever_is_missing() {
    let mut window = called(roll(&[1, 3]));
    back(&mut window, 1, 1, &[1, 2]);
    assert!(!window.wait(Duration::from_secs(4), Some(Duration::from_secs(5))));
    assert!(!window.wait(Duration::from_secs(4), None), "no limit is never over");
    assert!(window.wait(Duration::from_secs(1), Some(Duration::from_secs(5))));
    assert_eq!(window.begin_expiry(), [id(2), id(3)]);
    assert!(!window.is_complete() && window.begin_expiry().is_empty(), "they are missing until they are notified");
    [2, 3].into_iter().for_each(|number| window.expire(id(number)));
    assert!(window.is_complete() && window.was_limited());
    assert_eq!(window.departed(), [(id(2), EndReason::Evicted), (id(3), EndReason::Evicted)]);
    assert_eq!(window.forfeits(), [(id(3), Tag::new(3))], "what 2 shows nobody knows");
}

#[test]
fn the_limit_ends_nobody_who_was_not_missing_when_it_passed() {
    let mut window = called(roll(&[1, 2, 3]));
    back(&mut window, 1, 1, &[1, 2, 3]);
    back(&mut window, 2, 1, &[1, 2, 3]);
    assert_eq!(window.begin_expiry(), [id(3)]);
    window.unaccount(id(2));
    window.ended(id(3), EndReason::Failed);
    [2, 3].into_iter().for_each(|number| window.expire(id(number)));
    assert!(!window.was_limited() && !window.is_complete(), "one has died, and the other was there until now");
    assert_eq!(window.departed(), [(id(3), EndReason::Failed)]);
    assert_eq!(window.begin_expiry(), [id(2)]);
    assert!(window.is_expiring(id(2)) && window.is_expiring(id(3)));
}
