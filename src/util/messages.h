/* SPDX-License-Identifier: ISC */
#pragma once

/* What kind of thing a line of the log tells: journal fields for those that an administrator may look for or
 * want explained (journalctl -x). Each has its entry in units/dynapm.catalog. An id stands for its meaning
 * for ever, see sd_journal_print(3); `systemd-id128 new` makes another. */

#define MESSAGE_SERVICE_STATE "MESSAGE_ID=cc431c473ff84bcdb5d76be5751eff2e"  /* with DYNAPM_STATE= */
#define MESSAGE_START_FAILED "MESSAGE_ID=e63bb3b31fd049b0b7e53464b6ba38dc"   /* with DYNAPM_STATE=failed */
#define MESSAGE_CONFIG_REFUSED "MESSAGE_ID=dd45e34df695480fa1d6ce70c2bee1c6" /* with DYNAPM_CONFIG_FILE= */
#define MESSAGE_RELOADED "MESSAGE_ID=667ee80bea4242e089789a98fa9a1561"
#define MESSAGE_LISTEN_FAILED "MESSAGE_ID=8a907fb1ec784ce5812eab243da6ce13"
