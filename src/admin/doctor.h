/* `troupe doctor`: what is wrong, in plain words. */
#pragma once

#include "base/buf.h"
#include "base/str.h"

enum doctor_word { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_FAIL };

struct doctor_finding {
    enum doctor_word word;
    const char *what; /* "disk" */
    char text[1024];  /* for a person */
};

/* Whom to tell; has_failed once anything is wrong. */
struct doctor {
    void (*tell)(const struct doctor_finding *finding, void *ctx);
    void *ctx;
    bool has_failed;
};

/* What can be looked at beside a running server, on a pool thread: milliseconds, seconds with a
 * large database. */
void pool_doctor_house(struct doctor *doctor, const char *data, struct str config_problems);
/* Where mail goes. Loop thread: it reads settings. */
void doctor_look_at_mail(struct doctor *doctor);
/* Asks every model that is switched on; done comes once, later. False when there is none to ask:
 * then done does not come. Loop thread. */
bool doctor_ask_models(struct doctor *doctor, void (*done)(void *ctx), void *ctx);

/* Looks at everything and prints a line for each thing to standard output. 1 if any of them fails,
 * else 0. config_problems: what the settings' reader found. */
int doctor_run(const char *data, struct str listen, struct str config_problems);
