/*
 * Formulas as role players write them: so many dice of so many faces, and a number added. A number
 * alone is one die of that many faces.
 */
#include "character/dice.h"

#include "base/banned.h"

#define DICE_LIMIT    1000       /* of one roll */
#define FACES_LIMIT   1000000000 /* of one die */
#define NUMBER_DIGITS 10

bool dice_read(struct str text, struct dice *dice) {
    *dice = (struct dice){1, 0, 0};
    bool has_number = str_take_digits(&text, NUMBER_DIGITS, &dice->count);
    if (has_number && text.len == 0) {
        dice->faces = dice->count;
        dice->count = 1;
    } else {
        if (text.len == 0 || (text.at[0] | 0x20) != 'd')
            return false;
        text = str_slice(text, 1, text.len);
        if (!str_take_digits(&text, NUMBER_DIGITS, &dice->faces))
            return false;
    }
    if (text.len > 0 && (text.at[0] == '+' || text.at[0] == '-')) {
        bool is_minus = text.at[0] == '-';
        text = str_slice(text, 1, text.len);
        if (!str_take_digits(&text, NUMBER_DIGITS, &dice->plus))
            return false;
        dice->plus = is_minus ? -dice->plus : dice->plus;
    }
    return text.len == 0 && dice->count >= 1 && dice->count <= DICE_LIMIT && dice->faces >= 1 &&
           dice->faces <= FACES_LIMIT;
}
