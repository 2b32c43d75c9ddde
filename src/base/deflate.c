/*
 * zlib at level 1: a recorded prompt of 16 KB costs about 0.15 ms and shrinks to a third; higher
 * levels take three times as long for a tenth less. With a window of 8 KiB and small tables it asks
 * for 64 KB instead of 268, for one hundredth more bytes: what is larger than 128 KB the allocator
 * maps and gives back each time.
 */
#include "base/deflate.h"

#include "base/check.h"

#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include "base/banned.h"

#define LEVEL       1
#define WINDOW_BITS 13 /* 8 KiB */
#define MEMORY      6  /* of 9: zlib's own tables */

struct str deflate_bytes(struct arena *arena, struct str bytes) {
    z_stream stream = {.next_in = (z_const Bytef *)(uintptr_t)(bytes.at ? bytes.at : ""),
                       .avail_in = (uInt)bytes.len};
    BUG_IF(bytes.len > UINT32_MAX);
    BUG_IF(deflateInit2(&stream, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY, Z_DEFAULT_STRATEGY) !=
           Z_OK);
    stream.avail_out = (uInt)deflateBound(&stream, bytes.len);
    char *out = arena_alloc(arena, stream.avail_out);
    stream.next_out = (Bytef *)out;
    BUG_IF(deflate(&stream, Z_FINISH) != Z_STREAM_END);
    size_t len = stream.total_out;
    deflateEnd(&stream);
    return (struct str){out, len};
}

enum err inflate_bytes(struct arena *arena, struct str deflated, size_t limit_bytes,
                       struct str *bytes) {
    size_t room = deflated.len * 4 + 256;
    for (;; room *= 4) {
        if (room > limit_bytes)
            room = limit_bytes;
        Bytef *out = arena_alloc(arena, room + 1);
        uLongf len = room;
        int result = uncompress(out, &len, (const Bytef *)deflated.at, deflated.len);
        if (result == Z_OK) {
            out[len] = 0;
            *bytes = (struct str){(const char *)out, len};
            return E_OK;
        }
        if (result != Z_BUF_ERROR)
            return E_INPUT;
        if (room == limit_bytes)
            return E_LIMIT;
    }
}
