/*
 * From a file to chunks.
 *
 * HTML is read for its words only: tags go, headings become lines with number signs, what is not
 * shown (script, style, head) is left out. That needs no tree, and no parser that could be fooled
 * into anything: the worst that a hostile page does is to look odd.
 *
 * A chunk is what can be told in a prompt and cited: a few paragraphs under one heading, 700 bytes
 * or so. Smaller ones lose what they are about, larger ones cost tokens for words that nobody asked
 * for.
 */
#include "character/document.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/text.h"
#include "character/pdf.h"

#include <string.h>

#include "base/banned.h"

#define CHUNK_BYTES     700  /* then the next paragraph begins a new one */
#define PARAGRAPH_BYTES 1200 /* a longer one is cut at a sentence */
#define HEADING_LEVELS  6
#define HEADING_LETTERS 120
#define ENTITY_BYTES    12

/* --- HTML ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    const char *text;
} entities[] = {{"amp", "&"},   {"lt", "<"},    {"gt", ">"},    {"quot", "\""},  {"apos", "'"},
                {"nbsp", " "},  {"mdash", "—"}, {"ndash", "–"}, {"hellip", "…"}, {"lsquo", "‘"},
                {"rsquo", "’"}, {"ldquo", "“"}, {"rdquo", "”"}, {"copy", "©"},   {"deg", "°"},
                {"auml", "ä"},  {"ouml", "ö"},  {"uuml", "ü"},  {"szlig", "ß"},  {"eacute", "é"}};

static void add_code_point(struct buf *out, int64_t code) {
    if (code < 0x20 || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        buf_add_char(out, ' ');
    else if (code < 0x80)
        buf_add_char(out, (char)code);
    else if (code < 0x800) {
        buf_add_char(out, (char)(0xC0 | (code >> 6)));
        buf_add_char(out, (char)(0x80 | (code & 0x3F)));
    } else {
        if (code < 0x10000) {
            buf_add_char(out, (char)(0xE0 | (code >> 12)));
        } else {
            buf_add_char(out, (char)(0xF0 | (code >> 18)));
            buf_add_char(out, (char)(0x80 | ((code >> 12) & 0x3F)));
        }
        buf_add_char(out, (char)(0x80 | ((code >> 6) & 0x3F)));
        buf_add_char(out, (char)(0x80 | (code & 0x3F)));
    }
}

static int64_t number_of(struct str name) {
    bool is_hex = name.len > 1 && (name.at[1] == 'x' || name.at[1] == 'X');
    int64_t value = 0;
    for (size_t i = is_hex ? 2 : 1; i < name.len && value < 0x200000; i++) {
        char c = name.at[i];
        int digit = c >= '0' && c <= '9'                           ? c - '0'
                    : is_hex && (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                                   : -1;
        if (digit < 0)
            return -1;
        value = value * (is_hex ? 16 : 10) + digit;
    }
    return value;
}

/* Takes "&...;" at `at`; an ampersand that begins nothing is itself. How many bytes were read. */
static size_t add_entity(struct buf *out, struct str html, size_t at) {
    struct str rest = str_slice(html, at + 1, at + 1 + ENTITY_BYTES);
    ptrdiff_t end = str_find_char(rest, ';', 0);
    struct str name = end > 0 ? str_slice(rest, 0, (size_t)end) : STR_NONE;
    if (name.len > 1 && name.at[0] == '#') {
        add_code_point(out, number_of(name));
        return name.len + 2;
    }
    for (size_t i = 0; i < COUNT_OF(entities); i++)
        if (str_eq(name, str_from(entities[i].name))) {
            buf_add_str(out, str_from(entities[i].text));
            return name.len + 2;
        }
    buf_add_char(out, '&');
    return 1;
}

static bool is_one_of(struct str name, const char *const *names) {
    for (size_t i = 0; names[i] != NULL; i++)
        if (str_eq_nocase(name, str_from(names[i])))
            return true;
    return false;
}

static struct str tag_name(struct str tag) {
    size_t from = tag.len > 0 && tag.at[0] == '/' ? 1 : 0, to = from;
    while (to < tag.len && (((tag.at[to] | 32) >= 'a' && (tag.at[to] | 32) <= 'z') ||
                            (tag.at[to] >= '0' && tag.at[to] <= '9')))
        to++;
    return str_slice(tag, from, to);
}

static void break_line(struct buf *out, const char *with) {
    if (out->len > 0)
        buf_add_str(out, str_from(with));
}

/* What a tag means for the text. */
static void add_tag(struct buf *out, struct str tag) {
    static const char *const blocks[] = {"p",      "div",   "section",    "article", "ul",
                                         "ol",     "table", "blockquote", "pre",     "header",
                                         "footer", "main",  NULL};
    static const char *const lines[] = {"br", "li", "tr", "dt", "dd", "hr", NULL};
    struct str name = tag_name(tag);
    bool is_end = tag.len > 0 && tag.at[0] == '/';
    bool is_heading =
        name.len == 2 && (name.at[0] | 32) == 'h' && name.at[1] >= '1' && name.at[1] <= '6';
    if (is_heading) {
        break_line(out, "\n\n");
        for (char level = '1'; !is_end && level <= name.at[1]; level++)
            buf_add_char(out, '#');
        if (!is_end)
            buf_add_char(out, ' ');
    } else if (is_one_of(name, blocks)) {
        break_line(out, "\n\n");
    } else if (is_one_of(name, lines)) {
        break_line(out, "\n");
    } else if (str_eq_nocase(name, STR("td")) || str_eq_nocase(name, STR("th"))) {
        buf_add_char(out, ' ');
    }
}

static ptrdiff_t find_nocase(struct str text, struct str part, size_t from) {
    for (size_t i = from; i + part.len <= text.len; i++)
        if (str_eq_nocase(str_slice(text, i, i + part.len), part))
            return (ptrdiff_t)i;
    return -1;
}

/* Where what follows the tag at `at` goes on: behind its own end when its inside is not shown. */
static size_t skip_hidden(struct str html, struct str tag, size_t after) {
    static const char *const hidden[] = {"script",   "style", "head", "noscript",
                                         "template", "svg",   NULL};
    static const char *const ends[] = {"</script",   "</style", "</head", "</noscript",
                                       "</template", "</svg",   NULL};
    struct str name = tag_name(tag);
    if (tag.len > 0 && tag.at[0] == '/')
        return after;
    for (size_t i = 0; hidden[i] != NULL; i++)
        if (str_eq_nocase(name, str_from(hidden[i]))) {
            ptrdiff_t end = find_nocase(html, str_from(ends[i]), after);
            return end < 0 ? html.len : (size_t)end;
        }
    return after;
}

struct str document_from_html(struct arena *arena, struct str html) {
    struct buf out;
    buf_init(&out, DOCUMENT_TEXT_BYTES);
    for (size_t at = 0; at < html.len && out.err == E_OK;) {
        char c = html.at[at];
        if (c == '<' && str_starts(str_slice(html, at, html.len), STR("<!--"))) {
            ptrdiff_t end = str_find(html, STR("-->"), at + 4);
            at = end < 0 ? html.len : (size_t)end + 3;
        } else if (c == '<') {
            ptrdiff_t end = str_find_char(html, '>', at);
            struct str tag = str_slice(html, at + 1, end < 0 ? html.len : (size_t)end);
            add_tag(&out, tag);
            at = skip_hidden(html, tag, end < 0 ? html.len : (size_t)end + 1);
        } else if (c == '&') {
            at += add_entity(&out, html, at);
        } else {
            buf_add_char(&out, c);
            at++;
        }
    }
    struct str text = str_dup(arena, buf_str(&out));
    buf_release(&out);
    return text;
}

/* --- which kind ------------------------------------------------------------------------------ */

static bool looks_like_html(struct str bytes) {
    struct str head = str_trim(str_slice(bytes, 0, 512));
    return str_starts(head, STR("<!")) || find_nocase(head, STR("<html"), 0) >= 0 ||
           find_nocase(head, STR("<body"), 0) >= 0;
}

static bool is_binary(struct str bytes) {
    struct str head = str_slice(bytes, 0, 4096);
    return str_find_char(head, '\0', 0) >= 0;
}

static bool is_blank(struct str text) {
    return str_trim(text).len == 0;
}

enum err pool_document_text(struct arena *arena, struct str bytes, struct str content_type,
                            struct str *text, const char **problem) {
    enum err err = E_OK;
    if (str_starts(bytes, STR("%PDF-"))) {
        err = pool_pdf_text(arena, bytes, text);
        *problem =
            err == E_ABSENT
                ? "Reading PDF needs the program pdftotext on the server (package poppler-utils)."
                : "This PDF could not be read.";
    } else if (is_binary(bytes)) {
        *problem = "This is no text: Markdown, plain text, HTML and PDF can be read.";
        return E_INPUT;
    } else if (str_has(content_type, STR("html")) || looks_like_html(bytes)) {
        *text = document_from_html(arena, bytes);
    } else {
        *text = bytes;
    }
    if (err != E_OK)
        return err;
    if (text->len > DOCUMENT_TEXT_BYTES) {
        *problem = "This text is too long: 4 MiB can be taken.";
        return E_LIMIT;
    }
    *text = text_repair(arena, *text);
    *problem = "There is no text in this file.";
    return is_blank(*text) ? E_INPUT : E_OK;
}

/* --- chunks ---------------------------------------------------------------------------------- */

static size_t stretch_end(struct str text, size_t bytes) {
    if (text.len <= bytes)
        return text.len;
    size_t word = 0;
    for (size_t i = bytes; i > bytes / 2; i--) {
        char c = text.at[i - 1], next = text.at[i];
        if (c == '\n' || ((c == '.' || c == '!' || c == '?') && (next == ' ' || next == '\n')))
            return i;
        if (word == 0 && next == ' ')
            word = i;
    }
    return word > 0 ? word : text_cut_bytes(text, bytes).len;
}

struct str stretch_take(struct str *rest, size_t bytes) {
    size_t end = stretch_end(*rest, bytes);
    end = end == 0 ? rest->len : end; /* no letter fits: not UTF-8 */
    struct str taken = str_slice(*rest, 0, end);
    *rest = str_slice(*rest, end, rest->len);
    return str_trim(taken);
}

struct cutter {
    struct arena *arena;
    struct chunk *chunks;
    size_t count;
    struct str path[HEADING_LEVELS]; /* the headings above, by level */
    struct buf content;
};

static struct str path_of(struct cutter *cutter) {
    struct buf path;
    buf_init(&path, (size_t)HEADING_LEVELS * HEADING_LETTERS * 8);
    for (size_t i = 0; i < HEADING_LEVELS; i++)
        if (cutter->path[i].len > 0)
            buf_printf(&path, "%s" STR_FMT, path.len > 0 ? " > " : "", STR_ARG(cutter->path[i]));
    struct str text = str_dup(cutter->arena, buf_str(&path));
    buf_release(&path);
    return text;
}

static void close_chunk(struct cutter *cutter) {
    struct str content = str_trim(buf_str(&cutter->content));
    if (content.len > 0 && cutter->count < CHUNKS_LIMIT)
        cutter->chunks[cutter->count++] =
            (struct chunk){path_of(cutter), str_dup(cutter->arena, content)};
    buf_clear(&cutter->content);
}

/* The level of a heading line ("## The harbour"), 0 for other lines. */
static size_t heading_level(struct str line) {
    size_t level = 0;
    while (level < line.len && line.at[level] == '#')
        level++;
    return level >= 1 && level <= HEADING_LEVELS && level < line.len && line.at[level] == ' '
               ? level
               : 0;
}

static void begin_section(struct cutter *cutter, struct str line, size_t level) {
    close_chunk(cutter);
    cutter->path[level - 1] = text_cut(str_trim(str_slice(line, level, line.len)), HEADING_LETTERS);
    for (size_t i = level; i < HEADING_LEVELS; i++)
        cutter->path[i] = STR_NONE;
}

static void add_paragraph(struct cutter *cutter, struct str paragraph) {
    while (paragraph.len > 0) {
        struct str stretch = stretch_take(&paragraph, PARAGRAPH_BYTES);
        if (cutter->content.len > 0 && cutter->content.len + stretch.len > CHUNK_BYTES)
            close_chunk(cutter);
        if (cutter->content.len > 0)
            buf_add_str(&cutter->content, STR("\n\n"));
        buf_add_str(&cutter->content, stretch);
    }
}

struct chunk *document_chunks(struct arena *arena, struct str text, size_t *count) {
    struct cutter cutter = {.arena = arena,
                            .chunks = ARENA_ARRAY(arena, struct chunk, CHUNKS_LIMIT)};
    struct buf paragraph;
    struct str line;
    buf_init(&cutter.content, DOCUMENT_TEXT_BYTES * 2);
    buf_init(&paragraph, DOCUMENT_TEXT_BYTES * 2);
    while (str_next(&text, '\n', &line)) {
        size_t level = heading_level(line);
        if (level == 0 && str_trim(line).len > 0) {
            if (paragraph.len > 0)
                buf_add_char(&paragraph, '\n');
            buf_add_str(&paragraph, str_trim(line));
            continue;
        }
        add_paragraph(&cutter, buf_str(&paragraph));
        buf_clear(&paragraph);
        if (level > 0)
            begin_section(&cutter, line, level);
    }
    add_paragraph(&cutter, buf_str(&paragraph));
    close_chunk(&cutter);
    buf_release(&paragraph);
    buf_release(&cutter.content);
    *count = cutter.count;
    return cutter.chunks;
}
