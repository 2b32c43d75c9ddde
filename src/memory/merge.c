/*
 * Two facts are the same when subject and predicate are equal and their values have the same stems,
 * or nearly: "hiking" and "hiking in the Alps" are one, "cat Luna" and "cat" are one, "tea" and
 * "coffee" are not. A repeat adds its sources and makes the fact surer; it is not stored twice.
 *
 * Of some predicates a person has one value at a time. Then a new value closes the old one: it gets
 * an end (the moment at which the new one was said) and points to its successor. When the new one
 * was said earlier (an old talk is read later), it is the one that is closed. Some predicates
 * contradict others: who stopped liking something, lost a job, broke up.
 *
 * Nothing that was forgotten comes back, and nothing is learnt from messages that are withheld.
 * Proposed facts change nothing until they are accepted.
 */
#include "memory/merge.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/id.h"
#include "base/text.h"
#include "memory/clauses.h"
#include "memory/memory_index.h"
#include "memory/memory_store.h"
#include "memory/words.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define KNOWN_LIMIT      4000
#define STEMS_LIMIT      32
#define SAME_SHARE       0.6 /* of the stems of both values */
#define SAME_TEXT_SHARE  0.8
#define CONFIDENCE_LIMIT 0.98

/* --- predicates ------------------------------------------------------------------------------- */

/* clang-format off */
static const struct { const char *key, *words; } synonyms[] = {
    {"lives_in", "location residence resides_in home city lives living_in lives_at hometown_now current_city address moved_to located_in residence_city"},
    {"comes_from", "from origin hometown born_in birthplace grew_up_in place_of_birth raised_in"},
    {"works_as", "job occupation profession job_title career role work employment works"},
    {"works_at", "employer company workplace works_for employed_at employed_by"},
    {"studies_at", "university school college attends"},
    {"studies", "major field_of_study study subject"},
    {"partner", "spouse husband wife boyfriend girlfriend married_to dating significant_other has_partner"},
    {"relationship_status", "marital_status civil_status"},
    {"has_pet", "pet pets owns_pet pet_name has_cat has_dog dog cat"},
    {"allergic_to", "allergy allergies has_allergy"},
    {"likes", "loves enjoys interest interests hobby hobbies fan_of like love enjoy is_into interested_in"},
    {"dislikes", "hates avoids_liking dislike hate does_not_like"},
    {"birthday", "birth_date date_of_birth born_on birthdate"},
    {"name", "first_name real_name is_called is_named"},
    {"nickname", "preferred_name goes_by alias"},
    {"diet", "dietary_preference dietary_restriction eating_habits"},
    {"fears", "afraid_of fear phobia scared_of"},
    {"plays", "plays_instrument instrument sport plays_sport"},
    {"speaks", "language languages native_language speaks_language"},
    {"goal", "goals dream wants aims_to wants_to ambition"},
    {"plans", "plan upcoming scheduled appointment"},
    {"has_family", "siblings children family_members"},
    {"nationality", "citizenship is_nationality"},
    {"age", "years_old is_aged"},
    {"favourite_colour", "favorite_color favourite_color favorite_colour"},
};
static const char SINGLE[] = "name full_name last_name nickname pronouns age birthday lives_in lives_with works_as works_at works_in studies studies_at "
                             "relationship_status partner diet height faith blood_type bond trust born_in_year weight phone email drives_now hair_colour eye_colour";
/* clang-format on */

struct str memory_predicate(struct str predicate) {
    if (str_starts(predicate, STR("favorite_")) && predicate.len > 9)
        return predicate; /* spelled anew by identity(), which folds both */
    for (size_t i = 0; i < COUNT_OF(synonyms); i++)
        if (word_in(predicate, synonyms[i].words))
            return str_from(synonyms[i].key);
    return predicate;
}

bool memory_predicate_is_single(struct str predicate) {
    return word_in(predicate, SINGLE) || str_starts(predicate, STR("favourite_")) ||
           str_starts(predicate, STR("favorite_"));
}

static struct str british(struct arena *arena, struct str predicate) {
    if (!str_starts(predicate, STR("favorite_")))
        return predicate;
    return str_printf(arena, "favourite_" STR_FMT, STR_ARG(str_slice(predicate, 9, predicate.len)));
}

/* --- stems ------------------------------------------------------------------------------------ */

struct stems {
    struct str at[STEMS_LIMIT];
    size_t count;
};

static int compare_stems(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* Sorted, each once. Of a text of stopwords alone ("The Who") all words count. */
static struct stems stems_of(struct arena *arena, struct str text) {
    struct stems stems = {0};
    size_t count;
    struct memory_word *words = memory_words(arena, text, STEMS_LIMIT, &count);
    for (int pass = 0; pass < 2 && stems.count == 0; pass++)
        for (size_t i = 0; i < count; i++)
            if (pass == 1 || !words[i].is_stopword)
                stems.at[stems.count++] = words[i].stem;
    qsort(stems.at, stems.count, sizeof stems.at[0], compare_stems);
    size_t kept = 0;
    for (size_t i = 0; i < stems.count; i++)
        if (kept == 0 || !str_eq(stems.at[kept - 1], stems.at[i]))
            stems.at[kept++] = stems.at[i];
    stems.count = kept;
    return stems;
}

static size_t shared_stems(const struct stems *a, const struct stems *b) {
    size_t shared = 0;
    for (size_t i = 0; i < a->count; i++)
        for (size_t k = 0; k < b->count; k++)
            shared += str_eq(a->at[i], b->at[k]);
    return shared;
}

struct str memory_identity(struct arena *arena, struct str subject, struct str predicate,
                           struct str object) {
    struct stems stems = stems_of(arena, object);
    struct buf buf;
    buf_init(&buf, 8000);
    buf_add_str(&buf, text_fold(arena, subject));
    buf_add_char(&buf, '|');
    buf_add_str(&buf, british(arena, memory_predicate(predicate)));
    buf_add_char(&buf, '|');
    for (size_t i = 0; i < stems.count; i++) {
        if (i > 0)
            buf_add_char(&buf, ' ');
        buf_add_str(&buf, stems.at[i]);
    }
    struct str identity = str_dup(arena, buf_str(&buf));
    buf_release(&buf);
    return identity;
}

/* --- what is the same, and what contradicts ---------------------------------------------------- */

/* Called for every pair: folding is for what is not plain ASCII. */
static bool same_subject(struct arena *arena, struct str a, struct str b) {
    if (str_eq_nocase(a, b))
        return true;
    for (size_t i = 0; i < a.len; i++)
        if (a.at[i] & 0x80)
            return str_eq(text_fold(arena, a), text_fold(arena, b));
    return false;
}

static bool is_kin(struct str a, struct str b, const char *group) {
    return word_in(a, group) && word_in(b, group);
}

static bool similar_predicates(struct str a, struct str b) {
    return str_eq(a, b) || is_kin(a, b, "is works_as") || is_kin(a, b, "has has_pet") ||
           is_kin(a, b, "has_family named") || is_kin(a, b, "likes plays collects") ||
           is_kin(a, b, "avoids dislikes") || is_kin(a, b, "plans goal plans_to_move");
}

/* The stems of a value stand at the end of the identity: nothing has to be stemmed for a comparison. */
static struct stems value_stems(const struct memory_fact *fact) {
    struct stems stems = {0};
    struct str rest = fact->identity, stem;
    for (size_t i = fact->identity.len; i > 0; i--)
        if (fact->identity.at[i - 1] == '|') {
            rest = str_slice(fact->identity, i, fact->identity.len);
            break;
        }
    while (stems.count < STEMS_LIMIT && str_next(&rest, ' ', &stem))
        if (stem.len > 0)
            stems.at[stems.count++] = stem;
    return stems;
}

/* The values are the same, or one says more than the other. */
static bool same_value(const struct memory_fact *a, const struct memory_fact *b, bool is_single) {
    struct stems left = value_stems(a), right = value_stems(b);
    size_t shared = shared_stems(&left, &right);
    size_t all = left.count + right.count - shared;
    size_t least = left.count < right.count ? left.count : right.count;
    if (all == 0)
        return true;
    if (is_single && shared == least && least > 0)
        return true; /* "Bristol", "Bristol in England" */
    return (double)shared >= SAME_SHARE * (double)all;
}

static bool has_number_apart(const struct memory_fact *a, const struct memory_fact *b) {
    struct stems left = value_stems(a), right = value_stems(b);
    for (size_t i = 0; i < left.count; i++) {
        bool is_number = left.at[i].at[0] >= '0' && left.at[i].at[0] <= '9';
        bool is_there = false;
        for (size_t k = 0; k < right.count; k++)
            is_there |= str_eq(left.at[i], right.at[k]);
        if (is_number && !is_there)
            return true;
    }
    return false;
}

/* An animal and its name: "cat" is "cat Luna", "cat Luna" is not "cat Milo". */
static bool same_animal(const struct memory_fact *a, const struct memory_fact *b) {
    struct stems left = value_stems(a), right = value_stems(b);
    size_t shared = shared_stems(&left, &right);
    return shared > 0 && (shared == left.count || shared == right.count);
}

/* The longest word: what two sentences about the same thing can hardly do without. */
static struct str longest_word(struct str text) {
    size_t at = 0;
    struct str word, longest = STR("");
    while (text_next_word(text, &at, &word))
        if (word.len > longest.len)
            longest = word;
    return longest;
}

/* Models call the same thing by many predicates: sentences of nearly the same words are one. Looked
 * at closely only when the most telling word is there, because it is asked of every fact. */
static bool same_sentence(struct arena *arena, const struct memory_fact *a,
                          const struct memory_fact *b) {
    if (memory_predicate_is_single(a->predicate) ||
        !str_has(b->text, longest_word(a->object.len > 0 ? a->object : a->text)))
        return false;
    struct stems left = stems_of(arena, a->text), right = stems_of(arena, b->text);
    size_t shared = shared_stems(&left, &right);
    return left.count > 3 &&
           (double)shared >= SAME_TEXT_SHARE * (double)(left.count + right.count - shared);
}

static bool same_fact(struct arena *arena, const struct memory_fact *a,
                      const struct memory_fact *b) {
    if (str_eq(a->identity, b->identity))
        return true;
    if (!same_subject(arena, a->subject, b->subject))
        return false;
    bool is_like = similar_predicates(a->predicate, b->predicate);
    if (!is_like && !same_sentence(arena, a, b))
        return false;
    if (has_number_apart(a, b) || has_number_apart(b, a))
        return false;
    if (!is_like || a->object.len == 0 || b->object.len == 0)
        return !is_like || same_sentence(arena, a, b);
    if (is_kin(a->predicate, b->predicate, "has_pet"))
        return same_animal(a, b);
    return same_value(a, b, memory_predicate_is_single(a->predicate)) || same_sentence(arena, a, b);
}

static const char JOB[] = "works_at works_as works_in";

static bool contradicts(struct arena *arena, const struct memory_fact *new,
                        const struct memory_fact *old) {
    if (!same_subject(arena, new->subject, old->subject))
        return false;
    if (str_eq(new->predicate, old->predicate))
        return memory_predicate_is_single(new->predicate) && !same_fact(arena, new, old);
    if (is_kin(new->predicate, old->predicate, "likes dislikes avoids"))
        return !is_kin(new->predicate, old->predicate, "dislikes avoids") &&
               same_value(new, old, true);
    if (str_eq(new->predicate, STR("works_as")) && word_in(new->object, "retired unemployed"))
        return word_in(old->predicate, JOB);
    if (str_eq(new->predicate, STR("works_at")))
        return str_eq(old->predicate, STR("works_as")) &&
               word_in(old->object, "retired unemployed");
    if (str_eq(new->predicate, STR("relationship_status")))
        return str_eq(old->predicate, STR("partner")) &&
               word_in(new->object, "single divorced widowed");
    if (str_eq(new->predicate, STR("lost_pet")))
        return str_eq(old->predicate, STR("has_pet")) && same_value(new, old, true);
    return str_eq(new->predicate, STR("lives_in")) &&
           str_eq(old->predicate, STR("plans_to_move")) && same_value(new, old, true);
}

/* What an end closes: the same thing, or with nothing named all of its kind. */
static bool is_ended_by(struct arena *arena, const struct memory_fact *end,
                        const struct memory_fact *old) {
    if (!same_subject(arena, end->subject, old->subject))
        return false;
    bool is_kind = similar_predicates(end->predicate, old->predicate) ||
                   is_kin(end->predicate, old->predicate, JOB) ||
                   (str_eq(end->predicate, STR("has")) &&
                    word_in(old->predicate, "has_pet plays speaks drives owns"));
    if (!is_kind)
        return false;
    return end->object.len == 0 || same_value(end, old, true);
}

/* --- the merge -------------------------------------------------------------------------------- */

struct known {
    struct memory_fact *facts;
    size_t count, room;
};

static bool is_open(const struct memory_fact *fact) {
    return str_eq(fact->state, STR("active")) && fact->valid_to == 0;
}

static enum err touch(struct tx *tx, const struct memory_fact *fact) {
    return index_touch_vectors(tx, &memory_kind_fact, fact->id, fact->conversation_id,
                               fact->conversation_id);
}

static enum err close_fact(struct tx *tx, struct memory_fact *old, int64_t by, int64_t at,
                           int64_t now) {
    old->state = STR("superseded");
    old->valid_to = at > old->valid_from ? at : old->valid_from;
    old->superseded_by = by;
    old->updated_at = now;
    return memory_store_update(tx, old);
}

static enum err add_sources(struct tx *tx, int64_t fact_id, const struct memory_item *item) {
    enum err err = E_OK;
    for (size_t i = 0; i < item->source_count && err == E_OK; i++)
        if (!memory_store_is_withheld(tx_db(tx), item->sources[i]))
            err = memory_store_add_source(tx, fact_id, item->sources[i]);
    return err;
}

/* Said again: surer, and the fuller sentence stays. */
static enum err repeat(struct tx *tx, struct memory_fact *old, const struct memory_fact *new,
                       const struct memory_item *item, struct merge *merge) {
    double doubt = (1 - old->confidence) * (1 - new->confidence * 0.5);
    old->confidence = 1 - doubt > CONFIDENCE_LIMIT ? CONFIDENCE_LIMIT : 1 - doubt;
    if (new->importance > old->importance)
        old->importance = new->importance;
    bool is_fuller = new->object.len > old->object.len && !old->pinned &&
                     !str_eq(old->made_by, STR("person")) && str_eq(new->predicate, old->predicate);
    if (is_fuller) {
        old->text = new->text;
        old->object = new->object;
        old->identity = new->identity;
    }
    old->updated_at = merge->now;
    merge->repeated++;
    merge->added_id = old->id;
    enum err err = memory_store_update(tx, old);
    if (err == E_OK)
        err = add_sources(tx, old->id, item);
    return err == E_OK && is_fuller ? touch(tx, old) : err;
}

static void remember_known(struct arena *arena, struct known *known,
                           const struct memory_fact *fact) {
    ARENA_GROW(arena, known->facts, known->count, known->room);
    known->facts[known->count++] = *fact;
}

/* Closes what the fact contradicts; when it is older than that, closes the fact itself. */
static enum err settle(struct tx *tx, struct arena *arena, struct known *known,
                       struct memory_fact *fact, int64_t replaces, int64_t now, size_t *closed) {
    enum err err = E_OK;
    for (size_t i = 0; i < known->count && err == E_OK; i++) {
        struct memory_fact *old = &known->facts[i];
        bool is_said = replaces != 0 && old->id == replaces;
        if (old->id == fact->id || !is_open(old) || (!is_said && !contradicts(arena, fact, old)))
            continue;
        bool is_older = fact->valid_from < old->valid_from && !is_said;
        err = is_older ? close_fact(tx, fact, old->id, old->valid_from, now)
                       : close_fact(tx, old, fact->id, fact->valid_from, now);
        ++*closed;
        if (is_older)
            break;
    }
    return err;
}

static enum err insert(struct tx *tx, struct arena *arena, struct known *known,
                       struct memory_fact *fact, const struct memory_item *item,
                       struct merge *merge) {
    enum err err = memory_store_insert(tx, fact);
    if (err == E_OK)
        err = add_sources(tx, fact->id, item);
    if (err == E_OK && str_eq(fact->state, STR("active")))
        err = settle(tx, arena, known, fact, item->replaces, merge->now, &merge->closed);
    if (err == E_OK)
        err = touch(tx, fact);
    remember_known(arena, known, fact);
    merge->added++;
    merge->added_id = fact->id;
    return err;
}

static enum err end_facts(struct tx *tx, struct arena *arena, struct known *known,
                          const struct memory_fact *end, int64_t replaces, int64_t now,
                          size_t *closed) {
    enum err err = E_OK;
    for (size_t i = 0; i < known->count && err == E_OK; i++) {
        struct memory_fact *old = &known->facts[i];
        if (old->id == end->id || !is_open(old) || old->valid_from > end->valid_from ||
            (old->id != replaces && !is_ended_by(arena, end, old)))
            continue;
        err = close_fact(tx, old, 0, end->valid_from, now);
        ++*closed;
    }
    return err;
}

static struct memory_fact fact_of(struct arena *arena, const struct memory_item *item,
                                  const struct merge *merge) {
    struct str predicate = british(arena, memory_predicate(item->predicate));
    bool waits = merge->scope.needs_approval && !merge->is_final;
    return (struct memory_fact){
        .id = id_new(),
        .user_id = merge->scope.user_id,
        .character_id = merge->scope.character_id,
        .conversation_id = merge->scope.conversation_id,
        .kind = item->kind,
        .subject = item->subject,
        .predicate = predicate,
        .object = item->object.at ? item->object : STR(""),
        .identity = memory_identity(arena, item->subject, predicate,
                                    item->object.len > 0 ? item->object : item->text),
        .text = item->text,
        .importance = item->importance,
        .confidence = item->confidence,
        .valid_from = item->at > 0 ? item->at : merge->now,
        .state = waits ? STR("proposed") : STR("active"),
        .made_by = str_from(merge->made_by),
        .updated_at = merge->now,
    };
}

static bool all_withheld(struct tx *tx, const struct memory_item *item) {
    for (size_t i = 0; i < item->source_count; i++)
        if (!memory_store_is_withheld(tx_db(tx), item->sources[i]))
            return false;
    return item->source_count > 0;
}

static enum err merge_item(struct tx *tx, struct arena *arena, struct known *known,
                           const struct memory_item *item, struct merge *merge) {
    struct memory_fact fact = fact_of(arena, item, merge);
    bool is_person = str_eq(fact.made_by, STR("person"));
    if (!is_person && (all_withheld(tx, item) ||
                       memory_store_is_forgotten(tx_db(tx), fact.conversation_id, fact.identity))) {
        merge->refused++;
        return E_OK;
    }
    if (item->ends) {
        size_t closed = 0;
        enum err err = E_OK;
        if (str_eq(fact.state, STR("active")))
            err = end_facts(tx, arena, known, &fact, item->replaces, merge->now, &closed);
        merge->closed += closed;
        if (err != E_OK || closed > 0)
            return err;
        fact.valid_to = fact.valid_from;
        if (str_eq(fact.state, STR("active")))
            fact.state = STR("superseded");
    }
    for (size_t i = 0; i < known->count; i++) {
        struct memory_fact *old = &known->facts[i];
        bool is_comparable = item->ends ? old->valid_to != 0 && str_eq(old->text, fact.text)
                                        : old->valid_to == 0 &&
                                              (is_open(old) || str_eq(old->state, STR("proposed")));
        if (is_comparable && item->replaces != old->id && same_fact(arena, &fact, old))
            return repeat(tx, old, &fact, item, merge);
    }
    return insert(tx, arena, known, &fact, item, merge);
}

static enum err load_known(struct tx *tx, struct arena *arena, const struct memory_scope *scope,
                           struct known *known) {
    enum err err = memory_store_facts(tx_db(tx), arena, scope, true, KNOWN_LIMIT, &known->facts,
                                      &known->count);
    known->room = known->count;
    return err;
}

enum err writer_merge(struct tx *tx, const struct memory_items *items, struct merge *merge) {
    struct known known = {0};
    struct arena arena;
    if (items->count == 0)
        return E_OK;
    arena_init(&arena);
    tx_overwrite_freed(tx, false);
    enum err err = load_known(tx, &arena, &merge->scope, &known);
    for (size_t i = 0; i < items->count && err == E_OK; i++)
        err = merge_item(tx, &arena, &known, &items->items[i], merge);
    arena_release(&arena);
    return err;
}

enum err writer_accept(struct tx *tx, struct memory_fact *fact, const struct memory_scope *scope,
                       int64_t now) {
    struct known known = {0};
    struct arena arena;
    size_t closed = 0;
    arena_init(&arena);
    tx_overwrite_freed(tx, false);
    enum err err = load_known(tx, &arena, scope, &known);
    bool is_end = fact->valid_to != 0;
    fact->state = is_end ? STR("superseded") : STR("active");
    fact->updated_at = now;
    if (err == E_OK)
        err = memory_store_update(tx, fact);
    if (err == E_OK)
        err = is_end ? end_facts(tx, &arena, &known, fact, 0, now, &closed)
                     : settle(tx, &arena, &known, fact, 0, now, &closed);
    if (err == E_OK)
        err = touch(tx, fact);
    arena_release(&arena);
    return err;
}
