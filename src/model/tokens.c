/*
 * Weights per code point by script, measured against the tokenizers of current models (o200k, Llama
 * 3, Gemma 3, Qwen 3, DeepSeek V3) on prose: English comes out at 1.06 of the truth, other Latin
 * languages at 0.96 to 1.29, Chinese, Japanese and Korean at 0.89 to 1.55. Older vocabularies need
 * up to twice as many tokens for scripts other than Latin; the scale per model corrects that from
 * what the endpoint reports.
 *
 * A Latin letter costs more in languages with diacritics, whose words are rarer in the
 * vocabularies: the share of letters outside ASCII tells.
 *
 * Counts are kept in hundredths, so the result does not depend on the order of additions.
 */
#include "model/tokens.h"

#include <string.h>

#include "base/banned.h"

#define LETTER_ENGLISH 25
#define LETTER_OTHER   34
#define DIGIT          70
#define ASCII_MARK     50
#define SHARE_OTHER    100 /* one letter in so many outside ASCII makes it "other" */
#define SCALE_LEAST    0.5
#define SCALE_MOST     2.0
#define SCALE_STEP     0.2 /* share of a new reading: five replies to get used to a model */
#define LEAST_READING  64  /* tokens; shorter prompts are mostly the template's own */
#define CHUNK          8   /* blocks of sixteen bytes: their counts fit a byte */

/* Code points of a range and what one costs, in hundredths of a token. Sorted; what is missing is
 * an emoji or rarer. */
static const struct {
    unsigned last;
    int weight;
} SCRIPTS[] = {
    {0x052F, 42},                /* Greek, Cyrillic */
    {0x077F, 45},                /* Armenian, Hebrew, Arabic */
    {0x0DFF, 75},                /* Indic */
    {0x0E7F, 60},                /* Thai, Lao */
    {0x1FFF, 75},                /* further scripts of Asia and Africa */
    {0x206F, 70},                /* dashes, quotes */
    {0x2FFF, 150},               /* symbols */
    {0x303F, 90},                /* CJK punctuation */
    {0x30FF, 85},                /* kana */
    {0x318F, 85},                /* Hangul letters */
    {0x9FFF, 95},                /* Han */
    {0xABFF, 75},                /* further scripts */
    {0xD7AF, 85},                /* Hangul */
    {0xF8FF, 150}, {0xFAFF, 95}, /* compatible Han */
};

/* Bytes of a code point by its first one; a broken one counts as one. */
static size_t length_of(unsigned char first) {
    if (first < 0xC0)
        return 1;
    return first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
}

/* Takes one code point; broken bytes count as one each. */
static size_t take(struct str s, size_t at, unsigned *point) {
    unsigned char first = (unsigned char)s.at[at];
    size_t length = length_of(first);
    *point = first & (0xFFu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        unsigned char next = at + i < s.len ? (unsigned char)s.at[at + i] : 0;
        if ((next & 0xC0) != 0x80) {
            length = 1;
            break;
        }
        *point = *point << 6 | (next & 0x3F);
    }
    if (length == 1)
        *point = first;
    return length;
}

static bool is_ascii_letter(unsigned point) {
    return (point | 32) >= 'a' && (point | 32) <= 'z';
}

static bool is_other_latin(unsigned point) {
    return point >= 0xC0 && point <= 0x24F;
}

/* Of everything whose weight does not depend on the language. */
static int fixed_weight(unsigned point) {
    if (point < 0x80)
        return point >= '0' && point <= '9' ? DIGIT : ASCII_MARK;
    if (point < 0x250)
        return 70;
    for (size_t i = 0; i < sizeof SCRIPTS / sizeof *SCRIPTS; i++)
        if (point <= SCRIPTS[i].last)
            return SCRIPTS[i].weight;
    return 150;
}

/* A prompt is estimated for every reply, so the text is walked once: letters are counted, and
 * weighed when their share is known. */
struct tally {
    int64_t ascii, other, spaces; /* letters, Latin letters outside ASCII, spaces */
    int64_t fixed;                /* hundredths */
};

/* Most text is ASCII, and is counted sixteen bytes at a time (GCC's vectors: two words where a machine has none). A
 * comparison gives -1 for each byte of which it holds. */
typedef int8_t bytes16 __attribute__((vector_size(16)));

/* The sum of the bytes, none of them over CHUNK. */
static int sum_of(bytes16 bytes) {
    uint64_t halves[2];
    memcpy(halves, &bytes, sizeof halves);
    return (int)(((halves[0] + halves[1]) * 0x0101010101010101U) >> 56);
}

static bool has_high_bit(bytes16 bytes) {
    uint64_t halves[2];
    memcpy(halves, &bytes, sizeof halves);
    return ((halves[0] | halves[1]) & 0x8080808080808080U) != 0;
}

/* Of at most CHUNK whole blocks; gives how many bytes, 0 when not all of them are ASCII. */
static size_t tally_ascii(struct str text, struct tally *tally) {
    bytes16 letters = {0}, spaces = {0}, digits = {0}, all = {0}, c;
    size_t blocks = text.len / sizeof c < CHUNK ? text.len / sizeof c : CHUNK;
    for (size_t i = 0; i < blocks; i++) {
        memcpy(&c, text.at + i * sizeof c, sizeof c);
        bytes16 small = c | 0x20;
        all |= c;
        letters -= (small >= 'a') & (small <= 'z');
        spaces -= c == ' ';
        digits -= (c >= '0') & (c <= '9');
    }
    if (has_high_bit(all))
        return 0;
    int letter_count = sum_of(letters), space_count = sum_of(spaces), digit_count = sum_of(digits);
    int marks = (int)(blocks * sizeof c) - letter_count - space_count - digit_count;
    tally->ascii += letter_count;
    tally->spaces += space_count;
    tally->fixed += digit_count * DIGIT + marks * ASCII_MARK;
    return blocks * sizeof c;
}

static void tally_point(unsigned point, struct tally *tally) {
    if (is_ascii_letter(point))
        tally->ascii++;
    else if (point == ' ')
        tally->spaces++;
    else if (is_other_latin(point))
        tally->other++;
    else
        tally->fixed += fixed_weight(point);
}

static struct tally tally_of(struct str text) {
    struct tally tally = {0};
    unsigned point;
    for (size_t at = 0; at < text.len;) {
        size_t counted = tally_ascii(str_slice(text, at, text.len), &tally);
        at += counted;
        size_t end = at + CHUNK * sizeof(bytes16); /* what is not ASCII seldom comes alone */
        while (counted == 0 && at < text.len && at < end) {
            at += take(text, at, &point);
            tally_point(point, &tally);
        }
    }
    return tally;
}

static int letter_weight(const struct tally *tally) {
    return tally->other * SHARE_OTHER > tally->ascii + tally->other ? LETTER_OTHER : LETTER_ENGLISH;
}

static int weight_of(unsigned point, int letter) {
    if (is_ascii_letter(point))
        return letter;
    if (point == ' ')
        return letter / 2;
    return is_other_latin(point) ? letter * 3 / 2 : fixed_weight(point);
}

int64_t tokens_estimate(struct str text) {
    struct tally tally = tally_of(text);
    int letter = letter_weight(&tally);
    int64_t hundredths = tally.fixed + tally.ascii * letter + tally.spaces * (letter / 2) +
                         tally.other * (letter * 3 / 2);
    return (hundredths + 99) / 100;
}

static struct str cut(struct str text, int64_t tokens, int letter) {
    int64_t left = tokens > INT64_MAX / 100 ? INT64_MAX : tokens * 100;
    unsigned point;
    for (size_t at = 0, length; at < text.len; at += length) {
        length = take(text, at, &point);
        left -= weight_of(point, letter);
        if (left < 0)
            return str_slice(text, 0, at);
    }
    return text;
}

/* The share of letters may be higher in the prefix than in the whole: then it is cut as if they
 * were everywhere. */
struct str tokens_cut(struct str text, int64_t tokens) {
    if (tokens <= 0)
        return str_slice(text, 0, 0);
    struct tally tally = tally_of(text);
    struct str prefix = cut(text, tokens, letter_weight(&tally));
    return tokens_estimate(prefix) <= tokens ? prefix : cut(text, tokens, LETTER_OTHER);
}

/* Readings that cannot be meant (a server that reports a constant, or only what was not cached) are
 * left alone. */
double tokens_calibrate(double scale, int64_t estimated, int64_t reported) {
    if (estimated < LEAST_READING || reported < LEAST_READING)
        return scale;
    double reading = (double)reported / (double)estimated;
    if (reading < SCALE_LEAST / 2 || reading > SCALE_MOST * 2)
        return scale;
    scale += (reading - scale) * SCALE_STEP;
    return scale < SCALE_LEAST ? SCALE_LEAST : scale > SCALE_MOST ? SCALE_MOST : scale;
}
