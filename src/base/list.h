/* Intrusive doubly linked list: the node lives in its owner, so adding and removing never allocate.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *previous;
};

static inline void list_init(struct list *head) {
    head->next = head->previous = head;
}

static inline bool list_is_empty(const struct list *head) {
    return head->next == head;
}

static inline bool list_is_linked(const struct list *node) {
    return node->next != NULL && node->next != node;
}

static inline void list_add_last(struct list *head, struct list *node) {
    node->previous = head->previous;
    node->next = head;
    head->previous->next = node;
    head->previous = node;
}

/* Safe on a zeroed or already removed node; the node is zeroed. */
static inline void list_remove(struct list *node) {
    if (node->next == NULL)
        return;
    node->previous->next = node->next;
    node->next->previous = node->previous;
    node->next = node->previous = NULL;
}

#define LIST_EACH(head, node) \
    for (struct list *node = (head)->next; node != (head); node = node->next)
/* The current node may be removed or freed inside the loop. */
#define LIST_EACH_SAFE(head, node)                                                    \
    for (struct list *node = (head)->next, *node##_next = node->next; node != (head); \
         node = node##_next, node##_next = node->next)
