/*
 * Reading a PNG: all text chunks up to IEND, in any place, tEXt, zTXt and iTXt, keywords in any
 * letter case. `ccv3` comes before `chara` (specification V3); of several with one keyword the
 * first that can be read counts; a broken `ccv3` falls back to `chara` with a warning. A wrong CRC
 * on text is tolerated with a warning (real files have them); whether the text is whole shows when
 * it is read.
 */
#include "character/card_file.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/text.h"
#include "character/placard.h"
#include "base/png.h"

#include <string.h>

#include "base/banned.h"

#define TEXT_LIMIT_BYTES (CARD_JSON_LIMIT_BYTES / 3 * 4 + 4096) /* base64 of the largest card */
#define TEXTS_LIMIT      8                                      /* cards looked at in one file */

/* The chunks of one file that may hold a card. */
struct texts {
    struct png_chunk v3[TEXTS_LIMIT], v2[TEXTS_LIMIT];
    size_t v3_count, v2_count;
    bool has_assets, has_wrong_crc;
};

/* --- base64, as it is found ----------------------------------------------------------------- */

/* Blanks out, URL-safe letters back: then the house's reader takes it, padding or not. */
static enum err decode(struct arena *arena, struct str text, struct str *json) {
    char *clean = arena_alloc(arena, text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        clean[n++] = c == '-' ? '+' : c == '_' ? '/' : c;
    }
    return base64_decode(arena, str_of(clean, n), json);
}

static bool looks_like_json(struct str text) {
    text = str_trim(text);
    if (str_starts(text, STR("\xEF\xBB\xBF")))
        text = str_trim(str_slice(text, 3, text.len));
    return text.len > 0 && (text.at[0] == '{' || text.at[0] == '[');
}

/* The card in a text chunk: base64 of JSON; a few writers leave the base64 out. */
static enum err read_text(struct arena *arena, const struct png_chunk *chunk, struct card *card,
                          const char **problem) {
    struct str keyword, text, json;
    enum err err = png_text(arena, chunk, TEXT_LIMIT_BYTES, &keyword, &text);
    *problem = err == E_LIMIT ? "The card's text is larger than 8 MiB."
                              : "The card in the picture is damaged.";
    if (err != E_OK)
        return err;
    json = text;
    if (!looks_like_json(text) && !str_starts(text, STR("rcc||")) &&
        decode(arena, text, &json) != E_OK)
        return E_INPUT;
    return card_read(arena, json, card, problem);
}

/* --- PNG ------------------------------------------------------------------------------------ */

static void note_text(struct texts *texts, const struct png_chunk *chunk) {
    struct str keyword;
    if (png_keyword(chunk, &keyword) != E_OK)
        return;
    bool is_v3 = str_eq_nocase(keyword, STR("ccv3")), is_v2 = str_eq_nocase(keyword, STR("chara"));
    texts->has_assets |= str_starts(keyword, STR("chara-ext-asset_"));
    texts->has_wrong_crc |= (is_v3 || is_v2) && !chunk->is_intact;
    if (is_v3 && texts->v3_count < TEXTS_LIMIT)
        texts->v3[texts->v3_count++] = *chunk;
    if (is_v2 && texts->v2_count < TEXTS_LIMIT)
        texts->v2[texts->v2_count++] = *chunk;
}

static enum err find_texts(struct str bytes, struct texts *texts) {
    struct png png;
    struct png_chunk chunk;
    enum err err = png_begin(&png, bytes);
    while (err == E_OK && (err = png_next(&png, &chunk)) == E_OK)
        note_text(texts, &chunk);
    return err == E_ABSENT ? E_OK : E_INPUT;
}

/* Each is tried in memory of its own, so that eight bad ones cost no more than one. */
static enum err read_first(struct arena *arena, const struct png_chunk *chunks, size_t count,
                           struct card *card, const char **problem) {
    enum err err = E_ABSENT;
    for (size_t i = 0; i < count; i++) {
        struct arena scratch;
        arena_init(&scratch);
        err = read_text(&scratch, &chunks[i], card, problem);
        arena_release(&scratch);
        if (err == E_OK)
            return read_text(arena, &chunks[i], card, problem);
    }
    return err;
}

static enum err read_card(struct arena *arena, const struct texts *texts, struct card *card,
                          const char **problem) {
    enum err err = read_first(arena, texts->v3, texts->v3_count, card, problem);
    bool is_fallback = err != E_OK && texts->v3_count > 0;
    if (err != E_OK && texts->v2_count > 0)
        err = read_first(arena, texts->v2, texts->v2_count, card, problem);
    if (err == E_ABSENT) {
        *problem = "There is no character card in this picture.";
        return E_INPUT;
    }
    if (err == E_OK && is_fallback)
        card_warn(card, "The V3 card in the picture is damaged; its V2 copy was read.");
    return err;
}

static enum err read_png(struct arena *arena, struct str bytes, struct card_file *file,
                         const char **problem) {
    struct texts texts = {0};
    *problem = "The PNG file is damaged or cut short.";
    enum err err = find_texts(bytes, &texts);
    if (err != E_OK || (err = read_card(arena, &texts, &file->card, problem)) != E_OK)
        return err;
    if (texts.has_wrong_crc)
        card_warn(&file->card,
                  "A checksum in the file is wrong; the card could be read all the same.");
    if (texts.has_assets)
        card_warn(&file->card, "Further files inside the picture (assets) were not kept.");
    err = pool_image_check(arena, bytes, &file->portrait, problem);
    if (err == E_LIMIT)
        return err;
    if (err != E_OK) {
        card_warn(&file->card, "The picture is damaged and was left out; the card is whole.");
        file->portrait = (struct image){.kind = IMAGE_NONE};
    }
    *problem = NULL;
    return E_OK;
}

/* --- files ---------------------------------------------------------------------------------- */

static const char *refusal(struct str bytes) {
    if (bytes.len == 0)
        return "The file is empty.";
    if (str_starts(bytes, STR("PK\x03\x04")))
        return "CHARX and other ZIP files cannot be read yet.";
    if (image_sniff(bytes) != IMAGE_NONE)
        return "There is no character card in this picture; cards travel in PNG files.";
    return "The file is neither JSON nor PNG.";
}

enum err pool_card_file_read(struct arena *arena, struct str bytes, struct card_file *file,
                             const char **problem) {
    *file = (struct card_file){0};
    *problem = "The file is larger than 64 MiB.";
    if (bytes.len > CARD_FILE_LIMIT_BYTES)
        return E_LIMIT;
    if (image_sniff(bytes) == IMAGE_PNG)
        return read_png(arena, bytes, file, problem);
    if (looks_like_json(str_slice(bytes, 0, 1024)))
        return card_read(arena, bytes, &file->card, problem);
    *problem = refusal(bytes);
    return E_INPUT;
}

enum err pool_card_file_png(struct arena *arena, struct str portrait, struct str name,
                            struct str chara, struct str ccv3, struct str *out) {
    struct png png;
    struct png_chunk chunk;
    struct buf buf;
    struct str picture = portrait.at ? portrait : pool_placard(arena, name);
    buf_init(&buf, CARD_FILE_LIMIT_BYTES);
    enum err err = png_begin(&png, picture);
    png_add_signature(&buf);
    while (err == E_OK && (err = png_next(&png, &chunk)) == E_OK) {
        if (str_eq(chunk.type, STR("IEND"))) {
            png_add_text(&buf, "chara", base64_encode(arena, chara));
            if (ccv3.at)
                png_add_text(&buf, "ccv3", base64_encode(arena, ccv3));
        }
        buf_add_str(&buf, chunk.whole);
    }
    err = err == E_ABSENT ? buf.err : err;
    if (err == E_OK)
        *out = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return err;
}
