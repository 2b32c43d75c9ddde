/* links: troupe_character
 *
 * The input is a template and, behind a NUL, what people call themselves: expansion ends, stays
 * within its ceiling, and gives the same twice. */
#include "base/check.h"
#include "character/macro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct str all = str_of((const char *)data, size), out = STR_NONE, again = STR_NONE;
    ptrdiff_t cut = str_find_char(all, '\0', 0);
    struct str text = cut < 0 ? all : str_slice(all, 0, (size_t)cut);
    struct str name = cut < 0 ? STR("Mia") : str_slice(all, (size_t)cut + 1, all.len);
    struct macro_context context = {
        .character = name,
        .user = name,
        .description = text,
        .persona = name,
        .original = text,
        .now_ms = INT64_C(1795233791123),
        .idle_ms = 1000,
        .random = size,
    };
    arena_init(&arena);
    enum err err = macro_expand(&arena, text, &context, &out);
    BUG_IF(err != E_OK && err != E_LIMIT);
    BUG_IF(err == E_OK && out.len > MACRO_OUTPUT_LIMIT_BYTES);
    BUG_IF(macro_expand(&arena, text, &context, &again) != err);
    BUG_IF(err == E_OK && !str_eq(out, again));
    arena_release(&arena);
    return 0;
}
