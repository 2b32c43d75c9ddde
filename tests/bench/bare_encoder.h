/* The yardstick of the embedder: the same network as anybody would write it with vector registers, in f32. */
#pragma once

#include <stddef.h>

struct bare_encoder;

struct bare_encoder *bare_encoder_new(void); /* weights are random: time does not depend on them */
void bare_encoder_free(struct bare_encoder *encoder);
/* One text of `tokens` (at most 256); gives the length of the vector, so that nothing is left out. */
double bare_encoder_run(struct bare_encoder *encoder, size_t tokens);
