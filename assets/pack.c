/*
 * pack: turns folders of files into one sorted table that the binary embeds. Built and run by
 * CMake, never installed.
 *
 *     pack OUTDIR web=DIR characters=DIR rules=DIR migrations=DIR schema.sql=FILE
 *
 * Every file below DIR is named "web/" and its path; FILE keeps the name that was given. A source
 * that does not exist packs nothing, so the server can be built before the web app is. Written are
 *
 *     embedded_bytes.bin   every file, and for text of the web app its gzip and brotli forms where
 * they are smaller embedded_bytes.S     one .incbin of that file: no C compiler has to chew
 * megabytes of numbers embedded.c           the table of base/embedded.h, and its three functions
 *
 * The output depends on nothing but names and contents (sorted walk, gzip time zero, no paths in
 * the table): a build repeats byte for byte. ETags are 128-bit FNV-1a over the content; that is not
 * a cryptographic hash, and need not be: the files are our own, and it has to tell two versions of
 * a file apart, not to resist somebody who searches for a collision.
 *
 * A failure of any kind stops the build with one line.
 */
#include <brotli/encode.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#define ALIGNMENT 16 /* of every piece in the bytes */

struct bytes {
    unsigned char *at;
    size_t len;
};

struct file {
    char *name;
    struct bytes raw;
};

struct mime {
    const char *suffix;
    const char *type;
    bool is_text; /* worth compressing */
};

static const struct mime mimes[] = {
    {".html", "text/html; charset=utf-8", true},
    {".js", "text/javascript; charset=utf-8", true},
    {".mjs", "text/javascript; charset=utf-8", true},
    {".css", "text/css; charset=utf-8", true},
    {".json", "application/json", true},
    {".webmanifest", "application/manifest+json", true},
    {".svg", "image/svg+xml", true},
    {".txt", "text/plain; charset=utf-8", true},
    {".md", "text/markdown; charset=utf-8", true},
    {".sql", "text/plain; charset=utf-8", true},
    {".xml", "application/xml", true},
    {".map", "application/json", true},
    {".ico", "image/x-icon", true},
    {".wasm", "application/wasm", true},
    {".png", "image/png", false},
    {".jpg", "image/jpeg", false},
    {".jpeg", "image/jpeg", false},
    {".webp", "image/webp", false},
    {".avif", "image/avif", false},
    {".gif", "image/gif", false},
    {".woff2", "font/woff2", false},
    {".mp3", "audio/mpeg", false},
    {".ogg", "audio/ogg", false},
    {".vrm", "model/gltf-binary", false},
    {".glb", "model/gltf-binary", false},
};

static struct file *files;
static size_t file_count;
static size_t blob_len; /* bytes written to embedded_bytes.bin so far */

static _Noreturn void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("pack: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\n", stderr);
    exit(1);
}

static void *allocate(size_t len) {
    void *at = malloc(len ? len : 1);
    if (at == NULL)
        fail("out of memory");
    return at;
}

static char *joined(const char *a, const char *b, const char *c) {
    size_t len = strlen(a) + strlen(b) + strlen(c) + 1;
    char *text = allocate(len);
    snprintf(text, len, "%s%s%s", a, b, c);
    return text;
}

/* --- collecting ------------------------------------------------------------------------------- */

static struct bytes read_file(const char *path) {
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        fail("%s: %s", path, strerror(errno));
    fseek(in, 0, SEEK_END);
    long len = ftell(in);
    rewind(in);
    if (len < 0)
        fail("%s: %s", path, strerror(errno));
    struct bytes raw = {allocate((size_t)len), (size_t)len};
    if (fread(raw.at, 1, raw.len, in) != raw.len)
        fail("%s could not be read whole", path);
    fclose(in);
    return raw;
}

static void add_file(const char *name, const char *path) {
    struct file *more = realloc(files, (file_count + 1) * sizeof(*files));
    if (more == NULL)
        fail("out of memory");
    files = more;
    files[file_count++] = (struct file){.name = joined(name, "", ""), .raw = read_file(path)};
}

/* Adds what is at `path` under `name`: a file, a folder with all below it, or nothing when it is
 * not there. */
static void collect(const char *name, const char *path) {
    struct stat info;
    if (stat(path, &info) != 0) {
        if (errno == ENOENT)
            return;
        fail("%s: %s", path, strerror(errno));
    }
    if (S_ISREG(info.st_mode)) {
        add_file(name, path);
        return;
    }
    DIR *folder = opendir(path);
    if (folder == NULL)
        fail("%s: %s", path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.') /* itself, its parent, editors' leavings */
            continue;
        char *inner_name = joined(name, "/", entry->d_name);
        char *inner_path = joined(path, "/", entry->d_name);
        collect(inner_name, inner_path);
        free(inner_name);
        free(inner_path);
    }
    closedir(folder);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

/* --- judging one file ------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *suffix) {
    size_t len = strlen(text), suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

static bool starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static struct mime mime_of(const char *name) {
    for (size_t i = 0; i < sizeof(mimes) / sizeof(mimes[0]); i++)
        if (ends_with(name, mimes[i].suffix))
            return mimes[i];
    return (struct mime){"", "application/octet-stream", false};
}

/* The bundler names its output "stem-HASH.ext" with 8 letters of base64url. A word of 8 small
 * letters is taken for a word: to miss a hash costs a conditional request, to cache a portrait for
 * a year costs somebody an afternoon. */
static bool has_hash(const char *name) {
    if (!starts_with(name, "web/assets/"))
        return false;
    const char *stem = strrchr(name, '/') + 1;
    const char *dot = strchr(stem, '.');
    if (dot == NULL || dot - stem < 10 || dot[-9] != '-')
        return false;
    bool looks_random = false;
    for (const char *c = dot - 8; c < dot; c++) {
        bool is_letter = (*c >= 'a' && *c <= 'z') || *c == '-' || *c == '_';
        bool is_random = (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        if (!is_letter && !is_random)
            return false;
        looks_random |= is_random;
    }
    return looks_random;
}

static struct bytes gzipped(struct bytes raw) {
    z_stream stream = {0};
    if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        fail("gzip could not begin");
    gz_header header = {.os =
                            255}; /* time 0, no name, "unknown system": the same on every machine */
    deflateSetHeader(&stream, &header);
    size_t room = deflateBound(&stream, raw.len) + 64;
    struct bytes out = {allocate(room), 0};
    stream.next_in = raw.at;
    stream.avail_in = (uInt)raw.len;
    stream.next_out = out.at;
    stream.avail_out = (uInt)room;
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
        fail("gzip could not end");
    out.len = stream.total_out;
    deflateEnd(&stream);
    return out;
}

static struct bytes brotlied(struct bytes raw) {
    size_t room = BrotliEncoderMaxCompressedSize(raw.len) + 64;
    struct bytes out = {allocate(room), room};
    if (!BrotliEncoderCompress(BROTLI_MAX_QUALITY, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_TEXT, raw.len,
                               raw.at, &out.len, out.at))
        fail("brotli failed");
    return out;
}

static unsigned __int128 fnv1a(struct bytes raw) {
    const unsigned __int128 prime = ((unsigned __int128)1 << 88) + 0x13B;
    unsigned __int128 hash = ((unsigned __int128)0x6c62272e07bb0142u << 64) + 0x62b821756295c58du;
    for (size_t i = 0; i < raw.len; i++)
        hash = (hash ^ raw.at[i]) * prime;
    return hash;
}

/* --- writing ---------------------------------------------------------------------------------- */

static FILE *open_output(const char *folder, const char *name, char **path) {
    *path = joined(folder, "/", name);
    FILE *out = fopen(*path, "wb");
    if (out == NULL)
        fail("%s: %s", *path, strerror(errno));
    return out;
}

static void close_output(FILE *out, char *path) {
    if (ferror(out) || fclose(out) != 0)
        fail("%s could not be written", path);
    free(path);
}

/* Appends one piece, a NUL and padding; prints its place as a struct str. */
static void write_piece(FILE *bin, FILE *c, const char *field, struct bytes piece) {
    static const char zeros[ALIGNMENT];
    fprintf(c, "     .%s = {embedded_bytes + %zu, %zu},\n", field, blob_len, piece.len);
    fwrite(piece.at, 1, piece.len, bin);
    size_t padding = ALIGNMENT - piece.len % ALIGNMENT; /* 1 to 16 zeros, so a NUL always follows */
    fwrite(zeros, 1, padding, bin);
    blob_len += piece.len + padding;
}

static void write_etag(FILE *c, const char *field, const char *hash, const char *coding) {
    fprintf(c, "     .%s = {\"\\\"%s%s\\\"\", %zu},\n", field, hash, coding,
            strlen(hash) + strlen(coding) + 2);
}

static void write_coding(FILE *bin, FILE *c, const struct file *file, const char *hash,
                         bool is_brotli) {
    struct bytes coded = is_brotli ? brotlied(file->raw) : gzipped(file->raw);
    if (coded.len < file->raw.len) {
        write_piece(bin, c, is_brotli ? "brotli" : "gzip", coded);
        write_etag(c, is_brotli ? "etag_brotli" : "etag_gzip", hash, is_brotli ? "-br" : "-gz");
    }
    free(coded.at);
}

static void write_row(FILE *bin, FILE *c, const struct file *file) {
    struct mime mime = mime_of(file->name);
    unsigned __int128 content = fnv1a(file->raw);
    char hash[33];
    snprintf(hash, sizeof(hash), "%016llx%016llx", (unsigned long long)(content >> 64),
             (unsigned long long)content);
    fprintf(c, "    {.name = {\"%s\", %zu},\n", file->name, strlen(file->name));
    fprintf(c, "     .mime = {\"%s\", %zu},\n", mime.type, strlen(mime.type));
    write_piece(bin, c, "bytes", file->raw);
    write_etag(c, "etag", hash, "");
    if (mime.is_text && starts_with(file->name, "web/")) { /* the rest is never sent as a file */
        write_coding(bin, c, file, hash, false);
        write_coding(bin, c, file, hash, true);
    }
    fprintf(c, "     .is_immutable = %s},\n", has_hash(file->name) ? "true" : "false");
}

static const char head[] =
    "/* Made by assets/pack.c from what the binary embeds. Not to be edited. */\n"
    "#include \"base/embedded.h\"\n"
    "\n"
    "#include <stdint.h>\n"
    "#include <sys/mman.h>\n"
    "#include <unistd.h>\n"
    "\n"
    "extern const char embedded_bytes[], embedded_end[];\n"
    "\n"
    "static const struct embedded table[] = {\n";

static const char tail[] =
    "    {.name = {\"\", 0}}, /* so that the table is never empty */\n"
    "};\n"
    "#define COUNT (sizeof(table) / sizeof(table[0]) - 1)\n"
    "\n"
    "size_t embedded_count(void) {\n"
    "    return COUNT;\n"
    "}\n"
    "\n"
    "const struct embedded *embedded_at(size_t index) {\n"
    "    return index < COUNT ? &table[index] : NULL;\n"
    "}\n"
    "\n"
    "static int compare(struct str a, struct str b) {\n"
    "    int order = __builtin_memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);\n"
    "    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);\n"
    "}\n"
    "\n"
    "const struct embedded *embedded_find(struct str name) {\n"
    "    size_t low = 0, high = COUNT;\n"
    "    while (name.at != NULL && low < high) {\n"
    "        size_t middle = low + (high - low) / 2;\n"
    "        int order = compare(name, table[middle].name);\n"
    "        if (order == 0)\n"
    "            return &table[middle];\n"
    "        if (order < 0)\n"
    "            high = middle;\n"
    "        else\n"
    "            low = middle + 1;\n"
    "    }\n"
    "    return NULL;\n"
    "}\n"
    "\n"
    "void embedded_rest(void) {\n"
    "    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);\n"
    "    uintptr_t begin = ((uintptr_t)embedded_bytes + page - 1) / page * page;\n"
    "    uintptr_t end = (uintptr_t)embedded_end / page * page;\n"
    "    if (begin < end)\n"
    "        madvise((void *)begin, end - begin, MADV_DONTNEED);\n"
    "}\n";

static void check_name(const char *name) {
    for (const char *c = name; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < 0x20)
            fail("%s: a name that cannot stand in a C string", name);
}

static void write_table(const char *folder) {
    char *bin_path, *c_path;
    FILE *bin = open_output(folder, "embedded_bytes.bin", &bin_path);
    FILE *c = open_output(folder, "embedded.c", &c_path);
    fputs(head, c);
    for (size_t i = 0; i < file_count; i++) {
        check_name(files[i].name);
        write_row(bin, c, &files[i]);
    }
    fwrite("", 1, 1, bin); /* .incbin of nothing is an error to some assemblers */
    fputs(tail, c);
    close_output(bin, bin_path);
    close_output(c, c_path);
}

static void write_assembly(const char *folder) {
    char *path, absolute[PATH_MAX];
    FILE *out = open_output(folder, "embedded_bytes.S", &path);
    if (realpath(folder, absolute) == NULL)
        fail("%s: %s", folder, strerror(errno));
    fprintf(out,
            "/* Made by assets/pack.c. */\n"
            "    .section .rodata.embedded_bytes, \"a\"\n"
            "    .balign %d\n"
            "    .globl embedded_bytes, embedded_end\n"
            "    .type embedded_bytes, %%object\n"
            "embedded_bytes:\n"
            "    .incbin \"%s/embedded_bytes.bin\"\n"
            "embedded_end:\n"
            "    .size embedded_bytes, . - embedded_bytes\n"
            "    .section .note.GNU-stack, \"\", %%progbits\n",
            ALIGNMENT, absolute);
    close_output(out, path);
}

int main(int argc, char **argv) {
    if (argc < 2)
        fail("usage: pack OUTDIR name=PATH ...");
    if (mkdir(argv[1], 0777) != 0 && errno != EEXIST)
        fail("%s: %s", argv[1], strerror(errno));
    for (int i = 2; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals == NULL)
            fail("%s is not name=PATH", argv[i]);
        *equals = '\0';
        collect(argv[i], equals + 1);
    }
    if (file_count > 0)
        qsort(files, file_count, sizeof(*files), by_name);
    write_table(argv[1]);
    write_assembly(argv[1]);
    for (size_t i = 0; i < file_count; i++) {
        free(files[i].name);
        free(files[i].raw.at);
    }
    free(files);
    return 0;
}
