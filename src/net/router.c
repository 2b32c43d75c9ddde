/*
 * Routes in a tree of path segments, built once from the rows.
 *
 * A node has sorted literal children and at most one child for {names}; a literal wins over a name,
 * and if it leads nowhere the name is tried, so /characters/search and /characters/{id}/export live
 * together. A path is cut at '/' before it is decoded, so an encoded slash stays inside its
 * segment.
 */
#include "net/router.h"

#include "base/check.h"
#include "base/id.h"
#include "net/http.h"

#include <stdlib.h>
#include <string.h>
#include "base/banned.h"

#define SEGMENTS_LIMIT 16
#define PARAMS_LIMIT   4

struct node {
    struct str segment;     /* the pattern's; empty for the root and for {names} */
    struct node **children; /* sorted by segment */
    size_t child_count;
    struct node *param;
    const struct route *rows[METHOD_OTHER];
};

struct router_hooks router_hooks_now;
static struct node *root;
static const struct route *const *tables;

/* --- building --------------------------------------------------------------------------------- */

static struct node *node_new(struct str segment) {
    struct node *node = calloc(1, sizeof(*node));
    BUG_IF(node == NULL);
    node->segment = segment;
    return node;
}

static void node_free(struct node *node) {
    if (node == NULL)
        return;
    for (size_t i = 0; i < node->child_count; i++)
        node_free(node->children[i]);
    node_free(node->param);
    free(node->children);
    free(node);
}

/* Where the segment is, or would be put. */
static size_t child_place(const struct node *node, struct str segment, bool *is_there) {
    size_t low = 0, high = node->child_count;
    *is_there = false;
    while (low < high && !*is_there) {
        size_t middle = (low + high) / 2;
        int order = str_compare(node->children[middle]->segment, segment);
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
            *is_there = order == 0;
        }
    }
    return high;
}

static struct node *child_ensure(struct node *node, struct str segment) {
    if (segment.len > 0 && segment.at[0] == '{') {
        if (node->param == NULL)
            node->param = node_new(STR_NONE);
        return node->param;
    }
    bool is_there;
    size_t at = child_place(node, segment, &is_there);
    if (is_there)
        return node->children[at];
    node->children = realloc(node->children, (node->child_count + 1) * sizeof(*node->children));
    BUG_IF(node->children == NULL);
    memmove(node->children + at + 1, node->children + at,
            (node->child_count - at) * sizeof(*node->children));
    node->child_count++;
    return node->children[at] = node_new(segment);
}

/* Cuts "/a/b/" into "a", "b", "". False when it has too many parts. */
static bool path_split(struct str path, struct str *segments, size_t *count) {
    *count = 0;
    for (size_t i = 1; i <= path.len;) {
        ptrdiff_t slash = str_find_char(path, '/', i);
        size_t end = slash < 0 ? path.len : (size_t)slash;
        if (*count == SEGMENTS_LIMIT)
            return false;
        segments[(*count)++] = str_slice(path, i, end);
        i = end + 1;
    }
    return true;
}

static void route_add(const struct route *route) {
    struct str segments[SEGMENTS_LIMIT];
    size_t count;
    BUG_IF(route->handle == NULL || route->pattern[0] != '/' || route->method >= METHOD_OTHER);
    BUG_IF(!path_split(str_from(route->pattern), segments, &count));
    struct node *node = root;
    for (size_t i = 0; i < count; i++)
        node = child_ensure(node, segments[i]);
    if (node->rows[route->method] != NULL)
        BUG("two routes for %s", route->pattern);
    node->rows[route->method] = route;
}

void router_init(const struct route *const *route_tables) {
    router_release();
    tables = route_tables;
    root = node_new(STR_NONE);
    for (size_t i = 0; router_at(i) != NULL; i++)
        route_add(router_at(i));
}

void router_release(void) {
    node_free(root);
    root = NULL;
    tables = NULL;
    openapi_release();
}

const struct route *router_at(size_t index) {
    for (size_t i = 0; tables != NULL && tables[i] != NULL; i++)
        for (const struct route *row = tables[i]; row->pattern != NULL; row++)
            if (index-- == 0)
                return row;
    return NULL;
}

void router_hooks(const struct router_hooks *hooks) {
    router_hooks_now = *hooks;
}

/* --- finding ---------------------------------------------------------------------------------- */

static bool has_rows(const struct node *node) {
    for (size_t i = 0; i < METHOD_OTHER; i++)
        if (node->rows[i] != NULL)
            return true;
    return false;
}

static const struct node *walk(const struct node *node, const struct str *segments, size_t count) {
    if (count == 0)
        return has_rows(node) ? node : NULL;
    bool is_there;
    size_t at = child_place(node, segments[0], &is_there);
    const struct node *found = is_there ? walk(node->children[at], segments + 1, count - 1) : NULL;
    if (found == NULL && node->param != NULL && segments[0].len > 0)
        found = walk(node->param, segments + 1, count - 1);
    return found;
}

static bool decode_segments(struct exchange *exchange, struct str *segments, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (memchr(segments[i].at, '%', segments[i].len) != NULL &&
            percent_decode(&exchange->arena, segments[i], false, &segments[i]) != E_OK)
            return false;
    return true;
}

/* The {names} of the row, from the path. False when one that must be an id is none. */
static bool read_params(struct exchange *exchange, const struct route *route,
                        const struct str *segments) {
    struct str names[SEGMENTS_LIMIT];
    size_t count, ids = 0, words = 0;
    (void)path_split(str_from(route->pattern), names, &count);
    for (size_t i = 0; i < count; i++) {
        if (names[i].len == 0 || names[i].at[0] != '{')
            continue;
        bool is_id = str_ends(names[i], STR("id}"));
        BUG_IF((is_id ? ids : words) == PARAMS_LIMIT);
        if (!is_id)
            exchange->request.words[words++] = segments[i];
        else if (id_parse(segments[i], &exchange->request.ids[ids++]) != E_OK)
            return false;
    }
    return true;
}

static unsigned allowed_methods(const struct node *node) {
    unsigned allow = 1u << METHOD_OPTIONS;
    for (unsigned i = 0; i < METHOD_OTHER; i++)
        if (node->rows[i] != NULL)
            allow |= 1u << i;
    if (node->rows[METHOD_GET] != NULL)
        allow |= 1u << METHOD_HEAD;
    return allow;
}

const struct route *router_find(struct exchange *exchange, unsigned *allow) {
    struct str segments[SEGMENTS_LIMIT];
    size_t count;
    *allow = 0;
    struct str path = exchange->target.path;
    if (root == NULL || path.at[0] != '/' || !path_split(path, segments, &count) ||
        !decode_segments(exchange, segments, count))
        return NULL;
    const struct node *node = walk(root, segments, count);
    if (node == NULL)
        return NULL;
    *allow = allowed_methods(node);
    enum method method = exchange->request.method;
    if (method == METHOD_HEAD && node->rows[METHOD_HEAD] == NULL)
        method = METHOD_GET;
    const struct route *route = method < METHOD_OTHER ? node->rows[method] : NULL;
    if (route != NULL && !read_params(exchange, route, segments)) {
        *allow = 0; /* no such id: nothing is here, whatever the method */
        return NULL;
    }
    return route;
}
