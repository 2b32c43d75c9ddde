/*
 * The mail port: one mail to one person, handed to whatever takes mail from this house. The adapter
 * for a relay is smtp.c; the stand-in is vendor-free/outbox.c, which takes nothing on: the mail
 * stays where it is, and an admin reads it there.
 *
 * Who sends keeps the mail and tries again: a port makes one attempt and says how it ended.
 * Direct delivery to the recipient's own server is not done: signatures and reputation (DKIM, SPF,
 * DMARC) belong to the operator's relay.
 */
#pragma once

#include "base/buf.h"
#include "base/config.h"
#include "base/str.h"

struct mail_settings {
    struct str smtp_url; /* empty: no relay, mail rests in the outbox */
    struct str smtp_user, smtp_password;
    int smtp_tls;       /* index in {"auto", "always"} */
    struct str smtp_ca; /* file of certificates to trust instead of the system's; empty: those */
    struct str from;    /* the sender's address */
    struct str from_name;
    int64_t timeout_ms; /* for one answer of the relay */
    int64_t keep_days;  /* rows of the outbox are removed after this */
    int64_t per_hour;   /* mails of the whole house */
};
extern struct mail_settings mail_settings;
extern const struct setting mail_setting_rows[];

/* Texts are UTF-8 and borrowed until done; lines of the text end with \n. */
struct mail_message {
    int64_t id;    /* names it for ever (Message-ID), also when it is tried again */
    int64_t at_ms; /* when it was written (Date) */
    struct str to;
    struct str subject;
    struct str text;
};

enum mail_fate {
    MAIL_SENT,      /* the relay has taken it on */
    MAIL_RESTS,     /* nobody takes mail: it stays in the outbox */
    MAIL_LATER,     /* try again: no answer, a refusal for now, a fault of the settings */
    MAIL_REFUSED,   /* never: this mail or this recipient */
    MAIL_CANCELLED, /* the house is stopping: as if it had not been tried */
};

struct mail_result {
    enum mail_fate fate;
    struct str reason; /* for a person, not of MAIL_SENT and MAIL_RESTS; borrowed during the call */
};

typedef void (*mail_done_fn)(void *ctx, const struct mail_result *result);

struct mail_port {
    const char *name;
    /* Once, later, on the loop: done. Loop thread. */
    void (*send)(const struct mail_message *message, mail_done_fn done, void *ctx);
};

/* The one that the settings choose now. */
const struct mail_port *mail_port(void);
/* Why mail cannot leave although a relay is named; NULL when it can, or when none is named. */
const char *mail_settings_problem(void);
/* What is under way ends soon, as cancelled; nothing is sent any more. */
void mail_drain(void);
/* Waits for that end. Before fetch_release. */
void mail_release(void);

/* At most one `@`, no blanks, brackets or control characters, a host behind it: what may stand in an
 * envelope and a header as it is (RFC 5321 section 4.1.2, without quoted local parts). */
bool mail_address_is_safe(struct str address);
/*
 * The message as it goes over the wire (RFC 5322, 2045, 2047): CRLF, header lines that no value can
 * break out of, text as quoted-printable. E_INPUT when an address is not safe, E_LIMIT when it is
 * too long.
 */
MUST_USE enum err mail_write(struct buf *out, const struct mail_message *message, struct str from,
                             struct str from_name);

extern const struct mail_port mail_smtp;   /* smtp.c */
extern const struct mail_port mail_outbox; /* vendor-free/outbox.c */
