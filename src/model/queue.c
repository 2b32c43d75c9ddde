/*
 * One line per model. Its limit is the model's `concurrency`; 0 is none, and then nobody ever
 * stands here.
 *
 * Fair between people, not between calls: the line goes in rounds, and each person has one place in
 * a round. Who starts four talks at once stands in four rounds; somebody who comes after them with
 * one stands in the first. (Nagle's fair queue, with calls for packets: calls cost about the same.)
 * What nobody waits for (learning, summaries) stands behind everybody.
 *
 * A full model is waited for and not passed by: the order of a route is what the operator prefers,
 * and a busy model is not a broken one. But nobody waits longer than PATIENCE_MS; then the route
 * goes on with its next model, or says so.
 *
 * Turns are given from the loop, never from inside queue_leave(), so that a caller may leave in the
 * middle of its own work.
 */
#include "model/queue.h"

#include "base/check.h"
#include "base/metric.h"
#include "model/model.h"

#include <stdlib.h>

#include "base/banned.h"

#define LINES_LIMIT      128
#define PATIENCE_MS      600000 /* ten minutes: by then a person has gone to do something else */
#define BACKGROUND_ROUND INT64_MAX

METRIC_GAUGE(waiting_metric, "troupe_model_queue_waiting", "Calls that wait for a busy model.");

struct line {
    int64_t model_id; /* 0: free */
    int64_t inside;
    int64_t round; /* that is being served */
    struct list waiting;
};

static struct line lines[LINES_LIMIT];
static bool is_looking; /* a look is on its way */
static int64_t waiting_count;

static struct line *find_line(int64_t model_id) {
    for (size_t i = 0; i < LINES_LIMIT; i++)
        if (lines[i].model_id == model_id)
            return &lines[i];
    return NULL;
}

static struct line *ensure_line(int64_t model_id) {
    struct line *line = find_line(model_id);
    if (line == NULL && (line = find_line(0)) != NULL) {
        *line = (struct line){.model_id = model_id};
        list_init(&line->waiting);
    }
    return line;
}

static int64_t limit_of(int64_t model_id) {
    const struct model *model = model_find(model_id);
    return model != NULL ? model->concurrency : 0;
}

static bool has_room(const struct line *line) {
    int64_t limit = limit_of(line->model_id);
    return limit == 0 || line->inside < limit;
}

/* --- who is next ------------------------------------------------------------------------------ */

static int64_t round_for(const struct line *line, int64_t user_id) {
    int64_t round = line->round;
    if (user_id == 0)
        return BACKGROUND_ROUND;
    LIST_EACH(&line->waiting, node) {
        const struct queue_place *other = CONTAINER_OF(node, struct queue_place, link);
        if (other->user_id == user_id && other->round > round)
            round = other->round;
    }
    return round + 1;
}

/* Behind all of its round and of those before it. */
static void line_up(struct line *line, struct queue_place *place) {
    struct list *before = line->waiting.next;
    while (before != &line->waiting &&
           CONTAINER_OF(before, struct queue_place, link)->round <= place->round)
        before = before->next;
    list_add_last(before, &place->link); /* in front of that one, or of the head: at the end */
}

static void tell_positions(struct line *line) {
    int64_t position = 0;
    LIST_EACH_SAFE(&line->waiting, node) {
        struct queue_place *place = CONTAINER_OF(node, struct queue_place, link);
        if (++position == place->told)
            continue;
        place->told = position;
        place->moved(place, position);
    }
}

static void step_out(struct queue_place *place) {
    list_remove(&place->link);
    timer_stop(&place->patience);
    metric_set(&waiting_metric, --waiting_count);
}

static void let_in(struct line *line, struct queue_place *place) {
    step_out(place);
    place->is_inside = true;
    line->inside++;
    if (place->round != BACKGROUND_ROUND)
        line->round = place->round;
    if (place->told > 0)
        place->moved(place, 0);
    place->told = 0;
    place->turn(place, false);
}

static void look(void *ctx) {
    (void)ctx;
    is_looking = false;
    for (size_t i = 0; i < LINES_LIMIT; i++) {
        struct line *line = &lines[i];
        if (line->model_id == 0)
            continue;
        while (!list_is_empty(&line->waiting) && has_room(line))
            let_in(line, CONTAINER_OF(line->waiting.next, struct queue_place, link));
        tell_positions(line);
        if (line->inside == 0 && list_is_empty(&line->waiting))
            line->model_id = 0;
    }
}

static void look_soon(void) {
    if (is_looking)
        return;
    is_looking = true;
    loop_later(look, NULL);
}

/* --- in and out ------------------------------------------------------------------------------- */

static void lose_patience(void *ctx) {
    struct queue_place *place = ctx;
    step_out(place);
    place->model_id = 0;
    look_soon();
    place->turn(place, true);
}

bool queue_enter(struct queue_place *place, int64_t model_id) {
    BUG_IF(place->model_id != 0);
    struct line *line = ensure_line(model_id);
    if (line == NULL) /* more models in use than lines: these have no limit */
        return true;
    place->model_id = model_id;
    place->is_inside = list_is_empty(&line->waiting) && has_room(line);
    if (place->is_inside) {
        line->inside++;
        return true;
    }
    place->round = round_for(line, place->user_id);
    place->told = 0;
    line_up(line, place);
    metric_set(&waiting_metric, ++waiting_count);
    timer_start(&place->patience, PATIENCE_MS, lose_patience, place);
    look_soon(); /* tells the positions */
    return false;
}

void queue_leave(struct queue_place *place) {
    if (place->model_id == 0)
        return;
    struct line *line = find_line(place->model_id);
    BUG_IF(line == NULL);
    if (place->is_inside)
        line->inside--;
    else
        step_out(place);
    place->model_id = 0;
    place->is_inside = false;
    look_soon();
}

bool queue_is_waiting(const struct queue_place *place) {
    return place->model_id != 0 && !place->is_inside;
}

void queue_look_again(void) {
    if (waiting_count > 0)
        look_soon();
}

int64_t queue_length(int64_t model_id) {
    struct line *line = find_line(model_id);
    int64_t length = 0;
    if (line == NULL)
        return 0;
    LIST_EACH(&line->waiting, node)
        length++;
    return length;
}
