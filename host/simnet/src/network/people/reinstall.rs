//! A phone that begins anew: the owner has installed the app again, or has a new phone.
//!
//! It has new keys, and no companions and no sessions. Those who know the account are told that its identity has
//! changed (`encrypt` with an `<identity/>`), and open new sessions.

use wacore_binary::builder::NodeBuilder;

use super::Network;
use crate::address::{DeviceKey, Space, parse_number};
use crate::network::{CommandFault, Effect};
use crate::wire;

impl Network {
    /// Gives a phone new keys; tells its new public identity key.
    pub(crate) fn reinstall_phone(&mut self, number: &str) -> Result<[u8; 32], CommandFault> {
        let number = parse_number(number)?;
        if !self.accounts.contains_key(&number) {
            return Err(CommandFault::NoPhone(number));
        }
        for companion in self.companions_of(&number) {
            self.disconnect_device(&companion, Some(wire::stream_removed()));
            self.remove_device(&companion);
        }
        let Some(account) = self.accounts.get_mut(&number) else {
            return Err(CommandFault::NoPhone(number));
        };
        // A pairing that is under way was signed with the old keys.
        account.promised.clear();
        account.phone.reinstall().map_err(CommandFault::Phone)?;
        let identity = account.phone.identity();
        self.record_phone(&number);
        // In a group one may have a session with somebody whom one does not know, so all phones are asked.
        let everybody = self.accounts.keys().cloned().collect();
        self.forget_phone_sessions(&DeviceKey::new(number.as_str(), 0), everybody);
        let mut notice = self.notice(&number, "encrypt").with("lid", self.account_jid(&number, Space::Lid));
        notice.children = vec![NodeBuilder::new("identity").build()];
        self.tell_acquaintances(&number, &notice, |_, _| true);
        self.out.effects.push(Effect::Changed);
        Ok(identity)
    }
}
