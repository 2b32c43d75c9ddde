/*
 * The mail port for a relay: SMTP submission by libcurl (RFC 5321, 6409, 8314).
 *
 * One mail is one connection: EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, QUIT. A house writes a few
 * mails an hour, and a session that is kept would only be there to break.
 *
 * Not on the loop: libcurl says QUIT by waiting for the answer, and a relay that is silent then
 * would stop the whole house for as long. So a call is blocking, in the pool's thread for those who
 * wait, and has a deadline for every part; a stop of the house ends it within a second (on_progress).
 *
 * Encryption: smtps:// is TLS from the first byte. smtp:// must offer STARTTLS or the mail stays
 * here: falling back would show links that open accounts, and the relay's password, to whoever
 * listens. A relay on this machine is spoken to as it is, unless `mail.smtp_tls` says always.
 * Certificates are always verified.
 *
 * What is a fault of the mail (5xx to its sender, recipient or text) ends it. Everything else is
 * tried again, also a wrong password: settings are repaired, and the mail should not be lost
 * meanwhile.
 */
#include "base/check.h"
#include "base/metric.h"
#include "fetch/curl_library.h"
#include "fetch/mail.h"
#include "loop/loop.h"
#include "loop/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/banned.h"

#define MESSAGE_LIMIT_BYTES ((size_t)256 << 10)
#define REASON_BYTES        300
#define WORDS_BYTES         160 /* of the relay, in a reason */
#define CALLS_WAITING       32
#define SOCKETS_LIMIT       8 /* libcurl tries two addresses at once; it has no more open */

METRIC_LABELLED(sent, "troupe_mails_total", "fate=\"sent\"", "Mails handed to the relay, by fate.");
METRIC_LABELLED(later, "troupe_mails_total", "fate=\"later\"",
                "Mails handed to the relay, by fate.");
METRIC_LABELLED(refused, "troupe_mails_total", "fate=\"refused\"",
                "Mails handed to the relay, by fate.");

/* One attempt: made on the loop, worked on in the pool, ended on the loop. Everything that libcurl
 * reads is a copy: settings may change meanwhile. */
struct call {
    struct arena arena;
    const struct curl_library *curl;
    const char *url, *from, *to, *user, *password, *ca;
    bool must_encrypt;
    int64_t timeout_ms;
    struct buf message;
    size_t taken;                /* of the message, by libcurl */
    bool is_in;                  /* the relay has let us in: EHLO, STARTTLS and AUTH are done */
    int status;                  /* of the relay's last line */
    int words_status;            /* the number of the last refusal ... */
    char words[WORDS_BYTES + 1]; /* ... and its words */
    enum mail_fate fate;
    char reason[REASON_BYTES];
    mail_done_fn done;
    void *ctx;
};

static struct pool_kind smtp_kind = {
    .name = "smtp", .running_limit = 1, .queue_limit = CALLS_WAITING, .is_patient = true};
static atomic_bool is_stopping;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static int running; /* calls inside libcurl; under the lock, like the next */
static int sockets[SOCKETS_LIMIT] = {-1, -1, -1, -1, -1, -1, -1, -1}; /* theirs, while open */

/* libcurl asks on_progress nearly everywhere, but not while it waits for the answer to QUIT: a dead
 * socket ends that too. */
void mail_drain(void) {
    atomic_store(&is_stopping, true);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < SOCKETS_LIMIT; i++)
        if (sockets[i] >= 0)
            shutdown(sockets[i], SHUT_RDWR);
    pthread_mutex_unlock(&lock);
}

void mail_release(void) {
    mail_drain();
    pthread_mutex_lock(&lock);
    while (running > 0)
        pthread_cond_wait(&ended, &lock);
    pthread_mutex_unlock(&lock);
}

/* --- the settings ----------------------------------------------------------------------------- */

/* What stands between scheme and port; STR_NONE when the address is none of a relay. */
static struct str host_of(struct str url) {
    struct str rest = str_starts(url, STR("smtps://"))  ? str_slice(url, 8, url.len)
                      : str_starts(url, STR("smtp://")) ? str_slice(url, 7, url.len)
                                                        : STR_NONE;
    if (rest.len == 0)
        return STR_NONE;
    for (size_t i = 0; i < rest.len; i++) /* no path, no user, nothing that a URL gives a meaning */
        if (rest.at[i] <= ' ' || rest.at[i] > '~' || strchr("/@?#\\%\"<>", rest.at[i]) != NULL)
            return STR_NONE;
    ptrdiff_t end =
        rest.at[0] == '[' ? str_find_char(rest, ']', 0) + 1 : str_find_char(rest, ':', 0);
    int64_t port = 0;
    struct str host = end <= 0 ? rest : str_slice(rest, 0, (size_t)end);
    struct str tail = str_slice(rest, host.len, rest.len);
    if (tail.len > 0 && (tail.at[0] != ':' || str_to_int(str_slice(tail, 1, tail.len), &port) ||
                         port < 1 || port > 65535))
        return STR_NONE;
    return host;
}

static bool is_loopback(struct str host) {
    return str_eq_nocase(host, STR("localhost")) || str_starts(host, STR("127.")) ||
           str_eq(host, STR("[::1]"));
}

const char *mail_settings_problem(void) {
    if (mail_settings.smtp_url.len == 0)
        return NULL;
    if (host_of(mail_settings.smtp_url).len == 0)
        return "mail.smtp_url is not the address of a relay: smtps://HOST:465 or smtp://HOST:587";
    if (mail_settings.from.len == 0)
        return "mail.from is not set: the address that mail comes from";
    if (!mail_address_is_safe(mail_settings.from))
        return "mail.from is not an e-mail address";
    return NULL;
}

/* --- in the pool ------------------------------------------------------------------------------ */

static size_t on_read(char *into, size_t size, size_t count, void *ctx) {
    struct call *call = ctx;
    size_t room = size * count, left = call->message.len - call->taken;
    size_t len = left < room ? left : room;
    memcpy(into, call->message.at + call->taken, len);
    call->taken += len;
    return len;
}

/* The relay's lines; the last refusal is the reason. What it says is shown to admins, so it is cut,
 * and what is not printable becomes a question mark. */
static size_t on_line(char *bytes, size_t size, size_t count, void *ctx) {
    struct call *call = ctx;
    struct str line = str_trim(str_of(bytes, size * count));
    struct str words = line.len > 4 ? str_slice(line, 4, 4 + WORDS_BYTES) : STR("");
    int64_t status = 0;
    if (str_to_int(str_slice(line, 0, 3), &status) != E_OK || status < 400)
        return size * count;
    call->words_status = (int)status;
    for (size_t i = 0; i < words.len; i++)
        call->words[i] = words.at[i] >= ' ' && words.at[i] <= '~' ? words.at[i] : '?';
    call->words[words.len] = '\0';
    return size * count;
}

static int on_progress(void *ctx, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                       curl_off_t up) {
    (void)ctx, (void)down_all, (void)down, (void)up_all, (void)up;
    return atomic_load(&is_stopping);
}

/* The session is open; from here the mail itself is judged. */
static int on_let_in(void *ctx, char *peer, char *local, int peer_port, int local_port) {
    struct call *call = ctx;
    (void)peer, (void)local, (void)peer_port, (void)local_port;
    call->is_in = true;
    return CURL_PREREQFUNC_OK;
}

/* Puts one in the place of another; -1 is none. */
static void note_socket(int before, int after) {
    pthread_mutex_lock(&lock);
    for (int i = 0; i < SOCKETS_LIMIT; i++)
        if (sockets[i] == before) {
            sockets[i] = after;
            break;
        }
    pthread_mutex_unlock(&lock);
}

/* Our own sockets do not leak into child processes. */
static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose,
                                    struct curl_sockaddr *address) {
    (void)ctx, (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    note_socket(-1, fd);
    return fd;
}

static int on_close_socket(void *ctx, curl_socket_t fd) {
    (void)ctx;
    note_socket(fd, -1); /* before its number can be somebody else's */
    return close(fd);
}

static void set_limits(const struct call *call, CURL *easy) {
    __typeof__(call->curl->easy_setopt) set = call->curl->easy_setopt;
    set(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    set(easy, CURLOPT_PROXY, "");
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_QUICK_EXIT, 1L); /* a look-up that is stuck is not waited for: fetch.c */
    set(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)call->timeout_ms); /* with TLS and sign-in */
    set(easy, CURLOPT_TIMEOUT_MS, (long)(2 * call->timeout_ms));
    set(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)(call->timeout_ms / 1000)); /* QUIT too */
    set(easy, CURLOPT_USE_SSL, (long)(call->must_encrypt ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    set(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (call->ca[0] != '\0')
        set(easy, CURLOPT_CAINFO, call->ca);
    set(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    set(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
}

static void set_mail(struct call *call, CURL *easy, struct curl_slist *recipients) {
    __typeof__(call->curl->easy_setopt) set = call->curl->easy_setopt;
    set(easy, CURLOPT_URL, call->url);
    if (call->user[0] != '\0') {
        set(easy, CURLOPT_USERNAME, call->user);
        set(easy, CURLOPT_PASSWORD, call->password);
    }
    set(easy, CURLOPT_MAIL_FROM, call->from);
    set(easy, CURLOPT_MAIL_RCPT, recipients);
    set(easy, CURLOPT_UPLOAD, 1L);
    set(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->message.len);
    set(easy, CURLOPT_READFUNCTION, on_read);
    set(easy, CURLOPT_READDATA, (void *)call);
    set(easy, CURLOPT_HEADERFUNCTION, on_line);
    set(easy, CURLOPT_HEADERDATA, (void *)call);
    set(easy, CURLOPT_PREREQFUNCTION, on_let_in);
    set(easy, CURLOPT_PREREQDATA, (void *)call);
    set(easy, CURLOPT_NOPROGRESS, 0L);
    set(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
}

static void say(struct call *call, const char *what) {
    if (call->status >= 400 && call->status == call->words_status)
        snprintf(call->reason, sizeof call->reason, "%s: %d %s", what, call->status, call->words);
    else
        snprintf(call->reason, sizeof call->reason, "%s", what);
}

/* Words for a person; the fates are decided in judge. */
static const char *words_for(const struct call *call, CURLcode code) {
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "there is no relay of this name";
    case CURLE_COULDNT_CONNECT:
        return "no connection to the relay could be made";
    case CURLE_OPERATION_TIMEDOUT:
        return "the relay did not answer in time";
    case CURLE_LOGIN_DENIED:
        return "the relay does not take the user or the password";
    case CURLE_USE_SSL_FAILED:
        return "the relay offers no encryption, so nothing was said to it";
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return "the certificate of the relay could not be verified";
    case CURLE_SSL_CONNECT_ERROR:
        return "no encrypted connection to the relay came about";
    default:
        if (call->status >= 400)
            return call->is_in ? "the relay refused the mail" : "the relay refused to talk";
        return "the connection to the relay broke off";
    }
}

/* 530 (sign in first) and 421 (closing) are about the session, not about the mail. */
static void judge(struct call *call, CURLcode code) {
    if (code == CURLE_OK) {
        call->fate = MAIL_SENT;
        return;
    }
    if (atomic_load(&is_stopping)) {
        call->fate = MAIL_CANCELLED;
        say(call, "the house was stopping");
        return;
    }
    bool is_final = call->is_in && call->status >= 500 && call->status < 600 &&
                    call->status != 530 && code != CURLE_OPERATION_TIMEDOUT;
    call->fate = is_final ? MAIL_REFUSED : MAIL_LATER;
    say(call, words_for(call, code));
}

static void talk(struct call *call) {
    CURL *easy = call->curl->easy_init();
    struct curl_slist *recipients = call->curl->slist_append(NULL, call->to);
    long status = 0;
    BUG_IF(easy == NULL || recipients == NULL);
    set_limits(call, easy);
    set_mail(call, easy, recipients);
    CURLcode code = call->curl->easy_perform(easy);
    call->curl->easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    call->status = (int)status;
    judge(call, code);
    call->curl->easy_cleanup(easy); /* says QUIT; what comes of it changes nothing */
    call->curl->slist_free_all(recipients);
}

static void pool_send(void *ctx) {
    struct call *call = ctx;
    pthread_mutex_lock(&lock);
    bool may_begin = !atomic_load(&is_stopping);
    running += may_begin;
    pthread_mutex_unlock(&lock);
    if (!may_begin)
        return; /* it is MAIL_CANCELLED */
    talk(call);
    pthread_mutex_lock(&lock);
    running--;
    pthread_cond_signal(&ended);
    pthread_mutex_unlock(&lock);
}

/* --- on the loop ------------------------------------------------------------------------------ */

static void tell(struct call *call) {
    struct mail_result result = {.fate = call->fate, .reason = str_from(call->reason)};
    if (call->fate != MAIL_CANCELLED) /* that is as if it had not been tried */
        metric_add(call->fate == MAIL_SENT      ? &sent
                   : call->fate == MAIL_REFUSED ? &refused
                                                : &later,
                   1);
    call->done(call->ctx, &result);
    buf_release(&call->message);
    arena_release(&call->arena);
    free(call);
}

static void on_sent(enum err err, void *ctx) {
    struct call *call = ctx;
    if (err != E_OK)
        call->fate = MAIL_CANCELLED;
    tell(call);
}

static void tell_later(void *ctx) {
    tell(ctx);
}

/* The name we say in EHLO is our sender's domain: the path of libcurl's URL. */
static void copy_settings(struct call *call) {
    struct str from = mail_settings.from;
    struct str domain = str_slice(from, (size_t)str_find_char(from, '@', 0) + 1, from.len);
    call->url = str_printf(&call->arena, STR_FMT "/" STR_FMT, STR_ARG(mail_settings.smtp_url),
                           STR_ARG(domain))
                    .at;
    call->from = str_dup_z(&call->arena, from);
    call->user = str_dup_z(&call->arena, mail_settings.smtp_user);
    call->password = str_dup_z(&call->arena, mail_settings.smtp_password);
    call->ca = str_dup_z(&call->arena, mail_settings.smtp_ca);
    call->timeout_ms = mail_settings.timeout_ms;
    call->must_encrypt =
        mail_settings.smtp_tls != 0 || !is_loopback(host_of(mail_settings.smtp_url));
}

/* False, with fate and reason, when it cannot be sent at all. */
static bool prepare(struct call *call, const struct mail_message *message) {
    const char *problem = mail_settings_problem();
    call->fate = MAIL_LATER;
    if (problem != NULL)
        return say(call, problem), false;
    enum err err = mail_write(&call->message, message, mail_settings.from, mail_settings.from_name);
    if (err != E_OK) {
        call->fate = MAIL_REFUSED;
        say(call, err == E_INPUT ? "the address cannot be written to" : "the mail is too long");
        return false;
    }
    call->curl = curl_library_open();
    if (call->curl == NULL)
        return say(call, "libcurl is not installed on this machine"), false;
    call->to = str_dup_z(&call->arena, message->to);
    copy_settings(call);
    return true;
}

static void send_mail(const struct mail_message *message, mail_done_fn done, void *ctx) {
    struct call *call = calloc(1, sizeof *call);
    BUG_IF(call == NULL);
    arena_init(&call->arena);
    buf_init(&call->message, MESSAGE_LIMIT_BYTES);
    call->done = done;
    call->ctx = ctx;
    if (!prepare(call, message)) {
        loop_later(tell_later, call);
        return;
    }
    call->fate = MAIL_CANCELLED; /* until the relay has been asked */
    if (pool_run(&smtp_kind, pool_send, on_sent, call, NULL) == E_OK)
        return;
    call->fate = MAIL_LATER;
    say(call, "too many mails wait for the relay");
    loop_later(tell_later, call);
}

const struct mail_port mail_smtp = {.name = "smtp", .send = send_mail};
