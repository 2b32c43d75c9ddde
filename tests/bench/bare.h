/*
 * The yardstick "bare": what libuv, llhttp and SQLite cost by themselves.
 *
 * It gives the same JSON from the same rows as Troupe, has the same promise for a message that is
 * sent (committed with synchronous=FULL before the answer, one fdatasync for all that wait), and
 * nothing else: no accounts, no rights, no validation, no limits, no clocks on slow clients, no
 * events, no headers but two. It is written to be as fast as its author could make it. What Troupe
 * costs beyond it is the price of being a server for people; `./dev bench` shows the ratio.
 *
 * Its liberties, which a server may not take and a yardstick may: a request comes in one read, an
 * answer leaves in one write, a peer that does not take it at once is dropped, memory is never
 * short, ids in paths exist or the answer is a 404 without a body.
 */
#pragma once

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define ANSWER_BYTES (1 << 20)
#define HEAD_ROOM    128

struct client {
    uv_tcp_t tcp;
    llhttp_t parser;
    const char *url, *body; /* in the bytes of the read that is under way */
    uint32_t url_len, body_len;
    struct client *previous, *next; /* of a WebSocket, in the list of all */
    uint16_t pending;               /* messages of this client that are on their way to the disk */
    bool is_socket, is_closing;
};

/* --- bare.c ----------------------------------------------------------------------------------- */

/* Writes at once or drops the client. */
void client_write(struct client *client, const char *bytes, size_t len);
void client_leave(struct client *client);
/* The buffer in which an answer's body is made; HEAD_ROOM bytes are free before it. */
char *answer_body(void);
/* Sends the body that has been made there. */
void answer_send(struct client *client, int status, const char *end);

/* --- bare_rows.c ------------------------------------------------------------------------------ */

void rows_open(const char *database, uv_loop_t *loop);
/* Each writes an answer's body and returns its end; NULL: there is no such row. */
char *rows_characters(char *to, int limit);
char *rows_character(char *to, const char *id_letters);
char *rows_messages(char *to, const char *conversation_letters, int limit);
/* Answers 201 when the message is on disk. `body` is {"content": "...", ...} with content first. */
void rows_send_message(struct client *client, const char *conversation_letters, const char *body,
                       size_t len);

/* --- bare_socket.c ---------------------------------------------------------------------------- */

/* `request` is the whole head, for its Sec-WebSocket-Key. */
void socket_upgrade(struct client *client, const char *request, size_t len);
void socket_read(struct client *client, const char *bytes, size_t len);
void socket_gone(struct client *client);
