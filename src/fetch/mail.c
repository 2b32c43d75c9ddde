/*
 * Which port takes the mail, and the settings that say so. There is no switch beside the relay's
 * address: with one, mail leaves; without, it rests in the outbox.
 *
 * Where mail goes is the owner's to say (is_owners): an admin with a relay of their own would only
 * have to ask for the owner's new password and read the link.
 */
#include "fetch/mail.h"

#include "base/banned.h"

struct mail_settings mail_settings;
static const char *const tls_words[] = {"auto", "always", NULL};

/* clang-format off */
const struct setting mail_setting_rows[] = {
    {"mail", "smtp_url", SETTING_TEXT, &mail_settings.smtp_url, "", 0, 300, .is_owners = true,
     .help = "The relay that takes mail: smtps://mail.example.org:465, or smtp://mail.example.org:587 (STARTTLS). Empty: mail rests in the outbox, where admins read it."},
    {"mail", "smtp_user", SETTING_TEXT, &mail_settings.smtp_user, "", 0, 200, .is_owners = true,
     .help = "The name to sign in to the relay with; empty: it asks for none."},
    {"mail", "smtp_password", SETTING_TEXT, &mail_settings.smtp_password, "", 0, 170, .is_secret = true,
     .help = "Its password; said in this file or in the environment only."},
    {"mail", "smtp_tls", SETTING_CHOICE, &mail_settings.smtp_tls, "auto", .choices = tls_words, .is_owners = true,
     .help = "auto: encrypted or not at all, save for a relay on this machine; always: there too."},
    {"mail", "smtp_ca", SETTING_TEXT, &mail_settings.smtp_ca, "", 0, 170, .is_owners = true,
     .help = "A file of certificates (PEM) that the relay's must come from; empty: those of the system."},
    {"mail", "from", SETTING_TEXT, &mail_settings.from, "", 0, 170,
     .help = "The address that mail comes from; the relay must be allowed to send for its domain."},
    {"mail", "from_name", SETTING_TEXT, &mail_settings.from_name, "Troupe", 0, 100,
     .help = "The name that stands beside it."},
    {"mail", "timeout_ms", SETTING_INT, &mail_settings.timeout_ms, "30000", 1000, 300000, "ms",
     .help = "How long the relay may take for one answer; a mail as a whole may take twice as long."},
    {"mail", "keep_days", SETTING_INT, &mail_settings.keep_days, "30", 1, 365,
     .help = "Days after which a mail is removed from the outbox; what was sent loses its text at once."},
    {"mail", "per_hour", SETTING_INT, &mail_settings.per_hour, "500", 1, 100000,
     .help = "The most mail that this house writes in an hour, whoever asks for it."},
    {0}};
/* clang-format on */

const struct mail_port *mail_port(void) {
    return mail_settings.smtp_url.len > 0 ? &mail_smtp : &mail_outbox;
}
