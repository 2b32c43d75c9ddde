/*
 * The words of the mails.
 *
 * Nobody's name stands in them: whoever registers chooses a name and types somebody else's address,
 * and what they chose would be delivered there in our name. For the same reason no letter says who
 * asked. A link has a line of its own, so that every program shows all of it.
 */
#include "account/letter.h"

#include "base/buf.h"

#include <string.h>

#include "base/banned.h"

#define LETTER_LIMIT_BYTES 8192

struct words {
    const char *subject, *text;
};

static const char *const kinds[LETTER_KINDS] = {
    [LETTER_RESET] = "reset",     [LETTER_VERIFY] = "verify", [LETTER_EXISTS] = "exists",
    [LETTER_CHANGED] = "changed", [LETTER_TEST] = "test",
};

/* clang-format off */
static const struct words english[LETTER_KINDS] = {
    [LETTER_RESET] = {"Choose a new password",
        "Hello,\n\n"
        "somebody asked for a new password for your account at {house}. If that was you, open this link within an hour and choose one:\n\n"
        "{link}\n\n"
        "If it was not you, there is nothing to do: your password stays as it is, and the link ends by itself.\n"},
    [LETTER_VERIFY] = {"Confirm your address",
        "Hello,\n\n"
        "this address was given for an account at {house}. Open this link within two days to confirm that it is yours:\n\n"
        "{link}\n\n"
        "If you know nothing of this, do not open it: nobody can use your address then.\n"},
    [LETTER_EXISTS] = {"You have an account already",
        "Hello,\n\n"
        "somebody tried to make an account at {house} with this address, but there is one already. If that was you, sign in as before; "
        "and if you do not know the password any more, choose a new one within an hour:\n\n"
        "{link}\n\n"
        "If it was not you, there is nothing to do: nothing has changed.\n"},
    [LETTER_CHANGED] = {"Your password was changed",
        "Hello,\n\n"
        "the password of your account at {house} was changed by a link that was sent to this address, everybody who was signed in to it was signed out, and its API keys were revoked.\n\n"
        "If that was not you, somebody else reads your mail: change the password of your mailbox first, then this one:\n\n"
        "{link}\n"},
    [LETTER_TEST] = {"A test",
        "Hello,\n\n"
        "this is a test from {house}. If you can read it, mail leaves the house and arrives.\n"},
};
static const struct words german[LETTER_KINDS] = {
    [LETTER_RESET] = {"Wähle ein neues Passwort",
        "Hallo,\n\n"
        "jemand hat für dein Konto bei {house} ein neues Passwort verlangt. Wenn du das warst, öffne innerhalb einer Stunde diesen Link und wähle eines:\n\n"
        "{link}\n\n"
        "Wenn du es nicht warst, ist nichts zu tun: Dein Passwort bleibt, wie es ist, und der Link verfällt von selbst.\n"},
    [LETTER_VERIFY] = {"Bestätige deine Adresse",
        "Hallo,\n\n"
        "diese Adresse wurde für ein Konto bei {house} angegeben. Öffne innerhalb von zwei Tagen diesen Link, um zu bestätigen, dass sie dir gehört:\n\n"
        "{link}\n\n"
        "Wenn du davon nichts weißt, öffne ihn nicht: Dann kann niemand deine Adresse benutzen.\n"},
    [LETTER_EXISTS] = {"Du hast schon ein Konto",
        "Hallo,\n\n"
        "jemand wollte mit dieser Adresse ein Konto bei {house} anlegen, aber es gibt schon eines. Wenn du das warst, melde dich an wie bisher; "
        "und wenn du das Passwort nicht mehr weißt, wähle innerhalb einer Stunde ein neues:\n\n"
        "{link}\n\n"
        "Wenn du es nicht warst, ist nichts zu tun: Es hat sich nichts geändert.\n"},
    [LETTER_CHANGED] = {"Dein Passwort wurde geändert",
        "Hallo,\n\n"
        "das Passwort deines Kontos bei {house} wurde über einen Link geändert, der an diese Adresse ging, alle Anmeldungen wurden beendet und alle API-Schlüssel widerrufen.\n\n"
        "Wenn du das nicht warst, liest jemand anders deine Post: Ändere zuerst das Passwort deines Postfachs, dann dieses:\n\n"
        "{link}\n"},
    [LETTER_TEST] = {"Ein Versuch",
        "Hallo,\n\n"
        "das ist ein Versuch von {house}. Wenn du ihn lesen kannst, verlässt Post das Haus und kommt an.\n"},
};
/* clang-format on */

struct str letter_word(enum letter_kind kind) {
    return str_from(kinds[kind]);
}

bool letter_of_word(struct str word, enum letter_kind *kind) {
    for (int i = 0; i < LETTER_KINDS; i++)
        if (str_eq(word, str_from(kinds[i])))
            return *kind = (enum letter_kind)i, true;
    return false;
}

struct str letter_language(struct str tag) {
    return tag.len >= 2 && str_eq_nocase(str_slice(tag, 0, 2), STR("de")) ? STR("de") : STR("en");
}

static struct str fill(struct arena *arena, const char *pattern, struct str house,
                       struct str link) {
    struct buf out;
    struct str rest = str_from(pattern);
    buf_init(&out, LETTER_LIMIT_BYTES);
    for (ptrdiff_t at; (at = str_find_char(rest, '{', 0)) >= 0;) {
        ptrdiff_t end = str_find_char(rest, '}', (size_t)at);
        struct str name = str_slice(rest, (size_t)at + 1, (size_t)end);
        buf_add_str(&out, str_slice(rest, 0, (size_t)at));
        buf_add_str(&out, str_eq(name, STR("link")) ? link : house);
        rest = str_slice(rest, (size_t)end + 1, rest.len);
    }
    buf_add_str(&out, rest);
    struct str text = str_dup(arena, buf_str(&out));
    buf_release(&out);
    return text;
}

void letter_write(struct arena *arena, enum letter_kind kind, struct str language, struct str house,
                  struct str link, struct letter *letter) {
    const struct words *words = &(str_eq(language, STR("de")) ? german : english)[kind];
    letter->subject = str_from(words->subject);
    letter->text = fill(arena, words->text, house, link);
}
