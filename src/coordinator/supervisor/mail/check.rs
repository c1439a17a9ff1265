//! What is always true of what is on its way.

use std::collections::BTreeMap;

use super::super::{Phase, Supervisor};

impl Supervisor {
    /// Panics with a sentence if what is on its way contradicts itself.
    pub(in super::super) fn check_mail(&self) {
        let mail = &self.mail;
        let is_open = matches!(self.phase, Phase::Open);
        let idle = is_open || matches!(self.phase, Phase::Opening(_)) || mail.letters.is_empty();
        assert!(idle, "there is mail in a reign that takes none");
        let (mut waits, mut open) = (BTreeMap::<u64, usize>::new(), BTreeMap::<u64, usize>::new());
        for (link, mailbox) in &mail.boxes {
            assert!(self.links.contains_key(link), "there is mail for a connection that has ended");
            let bytes: usize = mailbox.under_way.iter().map(|sent| sent.cost).sum();
            assert_eq!(bytes, mailbox.bytes, "what is under way is counted wrong");
            let large = mailbox.under_way.iter().filter(|sent| sent.cost > 0).count();
            assert!(bytes <= mail.pace || large == 1, "too much is under way");
            assert!(mailbox.under_way.iter().is_sorted_by_key(|sent| sent.frame), "letters are sent out of order");
            if let (true, Some(first)) = (is_open, mailbox.waiting.first()) {
                assert!(!mailbox.bears(mail.letters[first].cost, mail.pace), "a letter waits for nothing");
            }
            mailbox.waiting.iter().for_each(|number| *waits.entry(*number).or_default() += 1);
            let sent = mailbox.under_way.iter().map(|sent| &sent.number);
            sent.chain(&mailbox.waiting).for_each(|number| *open.entry(*number).or_default() += 1);
        }
        let kept: usize = mail.letters.values().filter(|letter| letter.waits > 0).map(|letter| letter.kept).sum();
        assert_eq!(kept, mail.waiting_bytes, "what waits is counted wrong");
        assert!(kept <= mail.room, "too much waits");
        for (number, letter) in &mail.letters {
            assert!(letter.open > 0, "a letter is kept that is settled");
            assert_eq!(letter.open, open.remove(number).unwrap_or(0), "a letter awaits what nobody will say");
            assert_eq!(letter.waits, waits.remove(number).unwrap_or(0), "a letter waits for nobody");
            if let Some((link, request)) = letter.sender {
                assert!(mail.senders.contains(&(link, request, *number)), "a letter is not found by its sender");
                assert!(self.links.contains_key(&link), "somebody who has gone is to be answered");
            }
        }
        assert!(open.is_empty() && waits.is_empty(), "a mailbox has letters that there are not");
        assert!(mail.senders.iter().all(|(.., number)| mail.letters.contains_key(number)), "a sender awaits nothing");
    }
}
