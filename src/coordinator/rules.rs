//! The rules that keep the design safe, by name, so that the simulation can prove that it would notice a missing one.
//!
//! Outside tests every rule is in force and there is no way to switch one off.

use super::numbers;

/// Which rules are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A new supervisor asks the kernel who is alive; its own view proves nothing.
    pub roll_call: bool,
    /// The limit counts only time after which everything readable was read.
    pub limit_counts_drained_time: bool,
    /// Within an open reign a living member keeps its claims, however long it is without a connection.
    pub aside_keeps_claims: bool,
    /// The end of a connection is not death: only a presence that the kernel has closed ends an entry.
    pub end_is_not_death: bool,
    /// The entry belongs to the highest attempt; frames and ends of other connections are ignored.
    pub highest_attempt: bool,
    /// What is said before a handshake is accepted affects the connection alone on which it is said.
    pub effects_follow_the_handshake: bool,
    /// An id that somebody has is taken over only with the nonce of its owner.
    pub takeover_needs_the_nonce: bool,
    /// No winner leaves the office for a membership for which one has before.
    pub yields_once: bool,
    /// Numbers are believed only a little beyond what the winner knows.
    pub numbers_are_bounded: bool,
    /// Nothing is granted before `Opened` was written to everyone accounted for.
    pub two_step_opening: bool,
    /// Newcomers are welcomed when every survivor was written `Opened`.
    pub newcomers_come_second: bool,
    /// Whoever forfeited comes back under a new id.
    pub new_id: bool,
    /// A supervisor that fail-stops comes back with its id, its view and its own claims.
    pub fail_stop_keeps_claims: bool,
    /// The window after a resignation waits for everybody, like any other.
    pub window_after_resignation: bool,
    /// Who was not back by the limit has lost all its claims, whether they conflict or not.
    pub all_is_forfeited: bool,
    /// A window closed by the limit gives every confirmed claim a fresh token.
    pub fresh_tokens_after_limit: bool,
    /// Every reign's token base is known to every member, and the next one lies above it.
    pub token_base: bool,
    /// Tokens beyond what the base is good for are given only when a higher base was written to everybody.
    pub base_is_awaited: bool,
    /// How many tokens a base is good for: fewer than in earnest where a simulation is to use them up.
    pub step: u64,
    /// How many requests one input of the grants touches at most, before the others get their turn.
    pub slice: usize,
    /// The claims are what the table says when the next connection begins, and not what it said when the last one ended.
    pub claims_are_the_table: bool,
    /// A grant that was not taken when its connection ended is not taken before the next reign has confirmed it.
    pub take_only_when_settled: bool,
    /// Only the release of a grant that was taken says that all is well.
    pub decline_keeps_the_flag: bool,
    /// Nobody is told how its request stands before those in its way that are gone have been ended.
    pub refusals_are_exact: bool,
    /// Who is back and does not claim what it held vouches for nothing.
    pub silence_is_no_release: bool,
    /// Who forfeited was written so before anything is granted that it may believe to hold.
    pub forfeited_is_awaited: bool,
    /// Who is evicted was written so before anything is granted that it may believe to hold.
    pub evicted_is_awaited: bool,
    /// A member that expires is sent a notice that it finds whatever becomes of the supervisor.
    pub expired_are_notified: bool,
    /// The notice is sent before anything is granted that the expired member may believe to hold.
    pub notice_before_expiry: bool,
    /// A member looks for a notice after its connection is made and before its hello leaves, and a winner before it begins
    /// its window.
    pub hello_follows_a_look: bool,
    /// Who forfeited is not awaited again only while it shows the membership under which it did.
    pub forfeits_need_the_same_tag: bool,
    /// A write is acknowledged when it was written to everyone welcomed before.
    pub acknowledged_when_written: bool,
    /// A new supervisor adopts the newest copy of the state that anybody has, not its own.
    pub newest_copy: bool,
    /// A write that is said again is compared with what became of its key since.
    pub resubmissions_are_compared: bool,
    /// No two reigns have the same epoch, also if they know nothing of each other.
    pub epochs_are_unique: bool,
    /// A membership has a new tag before its owner says hello, not only when it is part of a new reign.
    pub new_tag_before_hello: bool,
    /// Nobody passes a barrier before everyone who waits there was written that it may.
    pub complete_before_go: bool,
    /// A member that may give up its connection unread knows what is complete when it has read it.
    pub complete_is_read: bool,
    /// An arrival at a barrier stands until the supervisor has said that it was taken back.
    pub withdrawals_are_awaited: bool,
    /// Who knows that a barrier is complete and has not passed tells the next supervisor.
    pub completed_is_claimed: bool,
    /// A verdict of the policy counts only for what is still wanted, on the connection on which it was said.
    pub verdicts_need_the_request: bool,
    /// Who is back is asked about again what it waits for, and is granted nothing before.
    pub waits_are_judged_again: bool,
    /// Who is paused is passed over.
    pub paused_is_passed_over: bool,
    /// A supervisor that leaves its office answers first what it has begun: the rest is sent to the next one.
    pub begun_is_answered: bool,
}

impl Rules {
    /// The design.
    pub const ALL: Self = Self {
        roll_call: true,
        limit_counts_drained_time: true,
        aside_keeps_claims: true,
        end_is_not_death: true,
        highest_attempt: true,
        effects_follow_the_handshake: true,
        takeover_needs_the_nonce: true,
        yields_once: true,
        numbers_are_bounded: true,
        two_step_opening: true,
        newcomers_come_second: true,
        new_id: true,
        fail_stop_keeps_claims: true,
        window_after_resignation: true,
        all_is_forfeited: true,
        fresh_tokens_after_limit: true,
        token_base: true,
        base_is_awaited: true,
        step: numbers::STEP,
        slice: 512,
        claims_are_the_table: true,
        take_only_when_settled: true,
        decline_keeps_the_flag: true,
        refusals_are_exact: true,
        silence_is_no_release: true,
        forfeited_is_awaited: true,
        evicted_is_awaited: true,
        expired_are_notified: true,
        notice_before_expiry: true,
        hello_follows_a_look: true,
        forfeits_need_the_same_tag: true,
        acknowledged_when_written: true,
        newest_copy: true,
        resubmissions_are_compared: true,
        epochs_are_unique: true,
        new_tag_before_hello: true,
        complete_before_go: true,
        complete_is_read: true,
        withdrawals_are_awaited: true,
        completed_is_claimed: true,
        verdicts_need_the_request: true,
        waits_are_judged_again: true,
        paused_is_passed_over: true,
        begun_is_answered: true,
    };
}
