/* links: troupe_character */
#include "character/card_file.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/deflate.h"
#include "character/placard.h"
#include "base/png.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;
static struct buf png;

static int begin(void **state) {
    (void)state;
    arena_init(&arena);
    buf_init(&png, 80 << 20);
    return 0;
}

static int end(void **state) {
    (void)state;
    buf_release(&png);
    arena_release(&arena);
    return 0;
}

/* --- building files ------------------------------------------------------------------------- */

static const char v2_json[] = "{\"spec\":\"chara_card_v2\",\"data\":{\"name\":\"Two\"}}";
static const char v3_json[] = "{\"spec\":\"chara_card_v3\",\"data\":{\"name\":\"Three\"}}";

static struct str coded(const char *json) {
    return base64_encode(&arena, str_from(json));
}

static void head(uint32_t width, uint32_t height) {
    char data[13] = {0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0}; /* 8-bit grey */
    for (int i = 0; i < 4; i++) {
        data[i] = (char)(width >> (24 - 8 * i));
        data[4 + i] = (char)(height >> (24 - 8 * i));
    }
    buf_clear(&png);
    png_add_signature(&png);
    png_add_chunk(&png, "IHDR", str_of(data, sizeof(data)));
}

static void pixels(size_t raw_bytes) {
    png_add_chunk(&png, "IDAT",
                  deflate_bytes(&arena, str_of(arena_zero(&arena, raw_bytes), raw_bytes)));
}

static struct str finish(void) {
    png_add_chunk(&png, "IEND", STR(""));
    return str_dup(&arena, buf_str(&png));
}

/* 2 x 2 pixels around the text chunks that `add` writes. */
static struct str picture(void (*add)(void)) {
    head(2, 2);
    add();
    pixels(2 * 3);
    return finish();
}

/* --- checking ------------------------------------------------------------------------------- */

static struct card_file read_ok(struct str bytes, const char *name) {
    struct card_file file;
    const char *problem = NULL;
    if (pool_card_file_read(&arena, bytes, &file, &problem) != E_OK)
        fail_msg("refused: %s", problem);
    if (!str_eq(file.card.character.name, str_from(name)))
        fail_msg("expected %s, got %.*s", name, STR_ARG(file.card.character.name));
    return file;
}

static void is_refused(struct str bytes, enum err expected, const char *why) {
    struct card_file file;
    const char *problem = NULL;
    enum err err = pool_card_file_read(&arena, bytes, &file, &problem);
    if (err != expected || problem == NULL)
        fail_msg("%s: err %d, problem %s", why, err, problem ? problem : "none");
}

static bool warns(const struct card_file *file, const char *part) {
    for (size_t i = 0; i < file->card.warning_count; i++)
        if (strstr(file->card.warnings[i], part))
            return true;
    return false;
}

/* --- which text counts ---------------------------------------------------------------------- */

static void only_chara(void) {
    png_add_text(&png, "chara", coded(v2_json));
}
static void only_ccv3(void) {
    png_add_text(&png, "ccv3", coded(v3_json));
}
static void both(void) {
    only_chara();
    only_ccv3();
}
static void broken_ccv3(void) {
    png_add_text(&png, "ccv3", STR("!!!not base64!!!"));
    only_chara();
}
static void two_chara(void) {
    only_chara();
    png_add_text(&png, "chara", coded("{\"name\":\"Later\",\"description\":\"\"}"));
}
static void first_chara_broken(void) {
    png_add_text(&png, "chara", STR("e30=")); /* {} */
    only_chara();
}
static void upper_case(void) {
    png_add_text(&png, "Comment", STR("made with love"));
    png_add_text(&png, "Chara", coded(v2_json));
}
static void url_safe_with_blanks(void) {
    struct str text = coded("{\"name\":\"Two\",\"description\":\"\xC3\xBF\xC3\xBE>>>???\"}");
    struct buf odd;
    buf_init(&odd, 4096);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '=')
            continue;
        buf_add_char(&odd, c == '+' ? '-' : c == '/' ? '_' : c);
        if (i % 10 == 0)
            buf_add_str(&odd, STR("\r\n \t"));
    }
    png_add_text(&png, "chara", buf_str(&odd));
    buf_release(&odd);
}
static void bare_json(void) {
    png_add_text(&png, "chara", str_from(v2_json));
}
static void deflated(void) {
    struct str text = deflate_bytes(&arena, coded(v2_json));
    struct str data = str_printf(&arena, "chara%c%c", 0, 0);
    struct buf chunk;
    buf_init(&chunk, 4096);
    buf_add_str(&chunk, data);
    buf_add_str(&chunk, text);
    png_add_chunk(&png, "zTXt", buf_str(&chunk));
    buf_release(&chunk);
}
static void international(void) {
    struct buf chunk;
    buf_init(&chunk, 4096);
    buf_add(&chunk, "ccv3\0\0\0en\0Karte\0", 16);
    buf_add_str(&chunk, coded(v3_json));
    png_add_chunk(&png, "iTXt", buf_str(&chunk));
    buf_release(&chunk);
}

static void finds_the_card(void **state) {
    (void)state;
    static const struct {
        void (*add)(void);
        const char *name;
    } cases[] = {
        {only_chara, "Two"},      {only_ccv3, "Three"},
        {both, "Three"},          {broken_ccv3, "Two"},
        {two_chara, "Two"},       {first_chara_broken, "Two"},
        {upper_case, "Two"},      {url_safe_with_blanks, "Two"},
        {bare_json, "Two"},       {deflated, "Two"},
        {international, "Three"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct card_file file = read_ok(picture(cases[i].add), cases[i].name);
        assert_int_equal(file.portrait.kind, IMAGE_PNG);
        assert_int_equal(file.portrait.width, 2);
        assert_false(str_has(file.portrait.bytes, STR("chara"))); /* the portrait is only picture */
        assert_false(str_has(file.portrait.bytes, STR("ccv3")));
        assert_int_equal(file.card.warning_count > 0, cases[i].add == broken_ccv3);
    }
}

static void finds_it_behind_the_pixels(void **state) {
    (void)state;
    head(2, 2);
    pixels(6);
    only_chara();
    struct str bytes = finish();
    read_ok(bytes, "Two");
    struct buf trailing;
    buf_init(&trailing, 1 << 20);
    buf_add_str(&trailing, bytes);
    buf_add_str(&trailing, STR("trailing garbage"));
    struct card_file file = read_ok(buf_str(&trailing), "Two");
    assert_true(file.portrait.bytes.len < bytes.len);
    buf_release(&trailing);
}

static void a_known_vector(void **state) {
    (void)state;
    buf_clear(&png);
    png_add_text(&png, "chara", STR("e30="));
    png_add_chunk(&png, "IEND", STR(""));
    static const unsigned char expected[] = {0,    0,    0,    10,   't',  'E',  'X', 't', 'c',
                                             'h',  'a',  'r',  'a',  0,    'e',  '3', '0', '=',
                                             0x22, 0xD8, 0x6D, 0xAF, 0,    0,    0,   0,   'I',
                                             'E',  'N',  'D',  0xAE, 0x42, 0x60, 0x82};
    assert_int_equal(png.len, sizeof(expected));
    assert_memory_equal(png.at, expected, sizeof(expected));
}

static void damage(void **state) {
    (void)state;
    struct str bytes = picture(only_chara);
    char *wrong = str_dup_z(&arena, bytes);
    size_t crc = 8 + 25 + 8 + 6 + coded(v2_json).len; /* behind IHDR and the text */
    wrong[crc] ^= 1;
    struct card_file file = read_ok(str_of(wrong, bytes.len), "Two");
    assert_true(warns(&file, "checksum"));

    for (size_t len = 0; len < crc; len++)
        is_refused(str_slice(bytes, 0, len), E_INPUT, "cut short before the card is whole");
    char *long_chunk = str_dup_z(&arena, bytes);
    memset(long_chunk + 33, 0xFF, 4);
    is_refused(str_of(long_chunk, bytes.len), E_INPUT, "a chunk of 4 GiB");

    head(2, 2);
    only_chara();
    pixels(6);
    file = read_ok(str_dup(&arena, buf_str(&png)), "Two"); /* no IEND */
    assert_int_equal(file.portrait.kind, IMAGE_NONE);
    assert_true(warns(&file, "damaged"));

    head(2, 2);
    only_chara();
    file = read_ok(finish(), "Two"); /* no pixels */
    assert_int_equal(file.portrait.kind, IMAGE_NONE);

    head(2, 2);
    only_chara();
    pixels(5);
    file = read_ok(finish(), "Two"); /* too few pixels */
    assert_int_equal(file.portrait.kind, IMAGE_NONE);
}

static void bombs(void **state) {
    (void)state;
    static const struct {
        uint32_t width, height;
        const char *why;
    } sizes[] = {{8193, 1, "too wide"},
                 {1, 8193, "too high"},
                 {8000, 5001, "too many pixels"},
                 {0x7FFFFFFF, 0x7FFFFFFF, "absurd"}};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        head(sizes[i].width, sizes[i].height);
        only_chara();
        pixels(10);
        is_refused(finish(), E_LIMIT, sizes[i].why);
    }
    head(2, 2);
    only_chara();
    pixels(32 << 20);
    is_refused(finish(), E_LIMIT, "pixels that unpack to 32 MiB");

    head(2, 2);
    size_t size = (size_t)64 << 20;
    struct buf chunk;
    buf_init(&chunk, 1 << 20);
    buf_add(&chunk, "chara\0\0", 7);
    buf_add_str(&chunk, deflate_bytes(&arena, str_of(arena_zero(&arena, size), size)));
    png_add_chunk(&png, "zTXt", buf_str(&chunk));
    buf_release(&chunk);
    pixels(6);
    is_refused(finish(), E_LIMIT, "text that unpacks to 64 MiB");
}

static void other_files(void **state) {
    (void)state;
    is_refused(STR(""), E_INPUT, "nothing");
    is_refused(STR("hello"), E_INPUT, "text");
    is_refused(str_of("PK\x03\x04....", 8), E_INPUT, "a ZIP");
    is_refused(str_of("\xFF\xD8\xFF\xE0....", 8), E_INPUT, "a JPEG");
    is_refused(str_of("\x89PNG\r\n\x1A\n", 8), E_INPUT, "an empty PNG");
    head(2, 2);
    pixels(6);
    is_refused(finish(), E_INPUT, "a picture without a card");
    is_refused(str_of("\xFF\xFE{\0", 4), E_INPUT, "UTF-16");
    read_ok(str_printf(&arena, "\xEF\xBB\xBF \n%s", v2_json), "Two");
}

/* --- writing -------------------------------------------------------------------------------- */

static void writes_what_it_reads(void **state) {
    (void)state;
    struct str out, portrait = picture(two_chara);
    struct image image;
    const char *problem;
    assert_int_equal(pool_image_check(&arena, portrait, &image, &problem), E_OK);
    assert_int_equal(pool_card_file_png(&arena, image.bytes, STR("x"), str_from(v2_json),
                                        str_from(v3_json), &out),
                     E_OK);
    struct card_file file = read_ok(out, "Three");
    assert_int_equal(file.card.version, 3);
    assert_true(str_eq(file.portrait.bytes, image.bytes)); /* the picture is untouched */
    ptrdiff_t chara = str_find(out, STR("chara"), 0), ccv3 = str_find(out, STR("ccv3"), 0);
    assert_true(chara > 0 && chara < ccv3);

    assert_int_equal(
        pool_card_file_png(&arena, STR_NONE, STR("Zoe"), str_from(v2_json), STR_NONE, &out), E_OK);
    file = read_ok(out, "Two");
    assert_int_equal(file.portrait.kind, IMAGE_PNG);
    assert_int_equal(file.portrait.width, PLACARD_WIDTH);
}

static void animations_stay(void **state) {
    (void)state;
    char control[26] = {0};
    control[7] = control[11] = 2; /* the whole canvas */
    head(2, 2);
    png_add_chunk(&png, "acTL", str_of("\0\0\0\1\0\0\0\0", 8));
    png_add_chunk(&png, "fcTL", str_of(control, 26));
    pixels(6);
    png_add_chunk(&png, "fdAT", STR("0000frame"));
    png_add_chunk(&png, "eXIf", STR("where I live"));
    only_chara();
    struct str bytes = finish();
    struct card_file file = read_ok(bytes, "Two");
    assert_true(str_has(file.portrait.bytes, STR("acTL")));
    assert_true(str_has(file.portrait.bytes, STR("0000frame")));
    assert_false(str_has(file.portrait.bytes, STR("where I live")));
    control[15] = 1; /* now it hangs over the edge */
    head(2, 2);
    png_add_chunk(&png, "fcTL", str_of(control, 26));
    pixels(6);
    struct image image;
    const char *problem;
    assert_int_equal(pool_image_check(&arena, finish(), &image, &problem), E_INPUT);
}

static void placards_are_lasting(void **state) {
    (void)state;
    struct image image;
    const char *problem;
    struct str one = pool_placard(&arena, STR("Ibid")), two = pool_placard(&arena, STR("Ibid")),
               other = pool_placard(&arena, STR("\xE9\xBE\x99"));
    assert_true(str_eq(one, two));
    assert_false(str_eq(one, other));
    assert_int_equal(pool_image_check(&arena, one, &image, &problem), E_OK);
    assert_int_equal(pool_image_check(&arena, other, &image, &problem), E_OK);
    assert_true(one.len < 20000);
}

/* --- JPEG and WebP -------------------------------------------------------------------------- */

#define FRAME "\xFF\xC0\x00\x0B\x08\x00\x10\x00\x20\x01\x01\x11\x00" /* 32 x 16, grey */
#define SCAN                                   \
    "\xFF\xDA\x00\x08\x01\x01\x00\x00\x3F\x00" \
    "\x12\xFF\x00\x34\xFF\xD0\x56"
#define TABLE "\xFF\xDB\x00\x04\0\x02"
#define EXIF_ORIENTED                    \
    "\xFF\xE1\x00\x2D"                   \
    "Exif\0\0"                           \
    "II*\0\x08\0\0\0"                    \
    "\x01\0"                             \
    "\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" \
    "\0\0\0\0"                           \
    "GPS-SECRET!"

static void jpeg(void **state) {
    (void)state;
    static const char bytes[] =
        "\xFF\xD8" EXIF_ORIENTED "\xFF\xFE\x00\x07NOTES" FRAME SCAN "\xFF\xD9PK-trailing";
    struct image image;
    const char *problem;
    struct str file = str_of(bytes, sizeof(bytes) - 1);
    assert_int_equal(pool_image_check(&arena, file, &image, &problem), E_OK);
    assert_int_equal(image.kind, IMAGE_JPEG);
    assert_int_equal(image.width, 32);
    assert_int_equal(image.height, 16);
    assert_false(str_has(image.bytes, STR("GPS-SECRET")));
    assert_false(str_has(image.bytes, STR("NOTES")));
    assert_false(str_has(image.bytes, STR("trailing")));
    assert_true(str_has(image.bytes, str_of("\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06", 10)));
    struct image again;
    assert_int_equal(pool_image_check(&arena, image.bytes, &again, &problem), E_OK);
    assert_true(str_eq(again.bytes, image.bytes)); /* cleaning is done once */
    for (size_t len = 0; len + 20 < file.len; len++)
        if (pool_image_check(&arena, str_slice(file, 0, len), &image, &problem) == E_OK)
            assert_true(len > 90); /* only a cut inside the scan may pass */
}

/* What a JPEG needs is a short list; markers that are on no list are where things hide. */
static void a_jpeg_keeps_what_is_on_the_list(void **state) {
    (void)state;
    static const struct {
        struct str more;
        enum err err;
        bool is_kept;
        const char *why;
    } rows[] = {
        {{"\xFF\xE0\x00\x10JFIF\0\x01\x02\0\0\x01\0\x01\0\0", 18}, E_OK, true, "JFIF"},
        {{"\xFF\xE0\x00\x13JFIF\0\x01\x02\0\0\x01\0\x01\x01\x01RGB", 21},
         E_OK,
         false,
         "JFIF with a small picture of what was there before"},
        {{"\xFF\xE0\x00\x0AJFXX\0\x10xx", 12}, E_OK, false, "the same in an extension"},
        {{"\xFF\xEE\x00\x0E"
          "Adobe\0\x64\0\0\0\0\x01",
          16},
         E_OK,
         true,
         "Adobe's colours"},
        {{"\xFF\xEE\x00\x08SECRET", 10}, E_OK, false, "another's APP14"},
        {{"\xFF\xE2\x00\x10ICC_PROFILE\0\x01\x01", 18}, E_OK, true, "a colour profile"},
        {{"\xFF\xDB\x00\x04\0\x01", 6}, E_OK, true, "a table"},
        {{"\xFF\xF0\x00\x08SECRET", 10}, E_OK, false, "an extension of JPEG"},
        {{"\xFF\x02\x00\x08SECRET", 10}, E_INPUT, false, "a reserved marker"},
        {{"\xFF\x00\x00\x08SECRET", 10}, E_INPUT, false, "a stuffed byte outside a scan"},
        {{"\xFF\xD8\x00\x08SECRET", 10}, E_INPUT, false, "a second beginning"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf file;
        struct image image, again;
        const char *problem;
        buf_init(&file, 4096);
        buf_add(&file, "\xFF\xD8", 2);
        buf_add(&file, FRAME SCAN TABLE, sizeof(FRAME SCAN TABLE) - 1);
        buf_add_str(&file, rows[i].more);
        buf_add(&file, FRAME SCAN "\xFF\xD9", sizeof(FRAME SCAN "\xFF\xD9") - 1);
        if (pool_image_check(&arena, buf_str(&file), &image, &problem) != rows[i].err)
            fail_msg("%s: %s", rows[i].why, problem);
        if (rows[i].err == E_OK) {
            if (str_has(image.bytes, rows[i].more) != rows[i].is_kept)
                fail_msg("%s", rows[i].why);
            assert_int_equal(pool_image_check(&arena, image.bytes, &again, &problem), E_OK);
            assert_true(str_eq(again.bytes, image.bytes));
        }
        buf_release(&file);
    }
}

static struct str webp(const char *flags_and_size, const char *more, size_t more_len) {
    struct buf out;
    buf_init(&out, 4096);
    buf_add(&out, "RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0", 20);
    buf_add(&out, flags_and_size, 10);
    buf_add(&out, "VP8L\x05\0\0\0\x2F\x01\x40\x00\x00\0", 14); /* 2 x 2, and a byte of padding */
    buf_add(&out, more, more_len);
    struct str bytes = str_dup(&arena, buf_str(&out));
    uint32_t size = (uint32_t)bytes.len - 8;
    for (int i = 0; i < 4; i++)
        ((char *)(uintptr_t)bytes.at)[4 + i] = (char)(size >> (8 * i));
    buf_release(&out);
    return bytes;
}

static void webp_files(void **state) {
    (void)state;
    struct image image;
    const char *problem;
    struct str bytes = webp("\x0C\0\0\0\x01\0\0\x01\0\0", "EXIF\x06\0\0\0SECRET", 14);
    assert_int_equal(pool_image_check(&arena, bytes, &image, &problem), E_OK);
    assert_int_equal(image.kind, IMAGE_WEBP);
    assert_int_equal(image.width, 2);
    assert_false(str_has(image.bytes, STR("SECRET")));
    assert_int_equal(image.bytes.at[20], 0); /* nor does it say that there is any */
    assert_int_equal(image.bytes.at[4], (int)image.bytes.len - 8);
    bytes = webp("\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF", "", 0);
    assert_int_equal(pool_image_check(&arena, bytes, &image, &problem), E_LIMIT);
    assert_int_equal(pool_image_check(&arena, str_slice(bytes, 0, 30), &image, &problem), E_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_the_card, begin, end),
        cmocka_unit_test_setup_teardown(finds_it_behind_the_pixels, begin, end),
        cmocka_unit_test_setup_teardown(a_known_vector, begin, end),
        cmocka_unit_test_setup_teardown(damage, begin, end),
        cmocka_unit_test_setup_teardown(bombs, begin, end),
        cmocka_unit_test_setup_teardown(other_files, begin, end),
        cmocka_unit_test_setup_teardown(writes_what_it_reads, begin, end),
        cmocka_unit_test_setup_teardown(animations_stay, begin, end),
        cmocka_unit_test_setup_teardown(placards_are_lasting, begin, end),
        cmocka_unit_test_setup_teardown(jpeg, begin, end),
        cmocka_unit_test_setup_teardown(a_jpeg_keeps_what_is_on_the_list, begin, end),
        cmocka_unit_test_setup_teardown(webp_files, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
