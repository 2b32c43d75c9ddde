/*
 * Two facts are the same when subject and predicate are equal and their values have the same stems,
 * or nearly: "hiking" and "hiking in the Alps" are one, "cat Luna" and "cat" are one, "tea" and
 * "coffee" are not. Of some predicates a person has one value at a time; some contradict others: who
 * stopped liking something, lost a job, broke up.
 *
 * Models call the same thing by many predicates, so those are mapped to one, and sentences of nearly
 * the same words are one whatever their predicates say.
 */
#include "memory/fact_compare.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/text.h"
#include "memory/clauses.h"
#include "memory/words.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define STEMS_LIMIT     32
#define SAME_SHARE      0.6 /* of the stems of both values */
#define SAME_TEXT_SHARE 0.8 /* of those of both sentences */
#define AMERICAN        "favorite_"

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

/* One spelling of "favorite_colour". */
static struct str british(struct arena *arena, struct str predicate) {
    struct str what = str_slice(predicate, sizeof(AMERICAN) - 1, predicate.len);
    return str_printf(arena, "favourite_" STR_FMT, STR_ARG(what));
}

struct str memory_predicate(struct arena *arena, struct str predicate) {
    if (str_starts(predicate, STR(AMERICAN)))
        return british(arena, predicate);
    for (size_t i = 0; i < COUNT_OF(synonyms); i++)
        if (word_in(predicate, synonyms[i].words))
            return str_from(synonyms[i].key);
    return predicate;
}

bool memory_predicate_is_single(struct str predicate) {
    return word_in(predicate, SINGLE) || str_starts(predicate, STR("favourite_")) ||
           str_starts(predicate, STR(AMERICAN));
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
    buf_add_str(&buf, memory_predicate(arena, predicate));
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

bool fact_is_same(struct arena *arena, const struct memory_fact *a, const struct memory_fact *b) {
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

bool fact_contradicts(struct arena *arena, const struct memory_fact *new,
                      const struct memory_fact *old) {
    if (!same_subject(arena, new->subject, old->subject))
        return false;
    if (str_eq(new->predicate, old->predicate))
        return memory_predicate_is_single(new->predicate) && !fact_is_same(arena, new, old);
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

bool fact_is_ended_by(struct arena *arena, const struct memory_fact *end,
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
