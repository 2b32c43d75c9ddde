/*
 * WebSockets of the yardstick: what one says, all hear.
 *
 * Sockets stand in one list. A text frame is sent to every socket as it came, from one buffer, a
 * write each. An idle socket costs its struct client.
 */
#include "bare.h"

#include <mbedtls/base64.h>
#include <mbedtls/sha1.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if MBEDTLS_VERSION_MAJOR < 3
#define SHA1 mbedtls_sha1_ret
#else
#define SHA1 mbedtls_sha1
#endif
#define KEY_LEN 24
#define GUID    "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static struct client *first;

void socket_upgrade(struct client *client, const char *request, size_t len) {
    static const char name[] = "Sec-WebSocket-Key: ";
    const char *key = memmem(request, len, name, sizeof(name) - 1);
    unsigned char joined[KEY_LEN + sizeof(GUID) - 1], sha[20], accept[32];
    size_t accept_len;
    char head[256];
    if (key == NULL) {
        client_leave(client);
        return;
    }
    memcpy(joined, key + sizeof(name) - 1, KEY_LEN);
    memcpy(joined + KEY_LEN, GUID, sizeof(GUID) - 1);
    SHA1(joined, sizeof(joined), sha);
    mbedtls_base64_encode(accept, sizeof(accept), &accept_len, sha, sizeof(sha));
    int head_len = snprintf(head, sizeof(head),
                            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Accept: %.28s\r\n\r\n",
                            (const char *)accept);
    client->is_socket = true;
    client->previous = NULL;
    client->next = first;
    if (first != NULL)
        first->previous = client;
    first = client;
    client_write(client, head, (size_t)head_len);
}

void socket_gone(struct client *client) {
    if (client->previous != NULL)
        client->previous->next = client->next;
    else
        first = client->next;
    if (client->next != NULL)
        client->next->previous = client->previous;
}

static void tell_all(const char *payload, size_t len) {
    static char frame[(64 << 10) + 16];
    size_t head = len < 126 ? 2 : 4;
    frame[0] = (char)0x81;
    frame[1] = (char)(len < 126 ? len : 126);
    if (len >= 126) {
        frame[2] = (char)(len >> 8);
        frame[3] = (char)len;
    }
    memcpy(frame + head, payload, len);
    for (struct client *client = first, *next; client != NULL; client = next) {
        next = client->next;
        client_write(client, frame, head + len);
    }
}

/* Frames come whole, in one read. */
void socket_read(struct client *client, const char *bytes, size_t len) {
    static char payload[64 << 10];
    while (len >= 6) {
        size_t head = 2, n = (unsigned char)bytes[1] & 0x7f;
        if (n == 126) {
            n = (size_t)(unsigned char)bytes[2] << 8 | (unsigned char)bytes[3];
            head = 4;
        }
        if (n >= sizeof(payload) || len < head + 4 + n || ((unsigned char)bytes[0] & 0xf) == 8) {
            client_leave(client);
            return;
        }
        for (size_t i = 0; i < n; i++)
            payload[i] = (char)(bytes[head + 4 + i] ^ bytes[head + (i & 3)]);
        tell_all(payload, n);
        bytes += head + 4 + n;
        len -= head + 4 + n;
    }
}
