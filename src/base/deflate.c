/*
 * zlib at level 1: a recorded prompt of 16 KB costs about 0.15 ms and shrinks to a third; higher
 * levels take three times as long for a tenth less.
 */
#include "base/deflate.h"

#include "base/banned.h"
#include "base/check.h"

#include <string.h>
#include <zlib.h>

#define DEFLATE_LEVEL 1

struct str deflate_bytes(struct arena *arena, struct str bytes) {
    uLongf len = compressBound(bytes.len);
    Bytef *out = arena_alloc(arena, len);
    BUG_IF(compress2(out, &len, (const Bytef *)(bytes.at ? bytes.at : ""), bytes.len,
                     DEFLATE_LEVEL) != Z_OK);
    return (struct str){(const char *)out, len};
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
