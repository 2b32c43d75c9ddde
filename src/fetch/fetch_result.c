/*
 * How a call ended. What we ended ourselves has our reason; of the rest libcurl's code becomes one of the
 * house's few and a sentence for a person, save where libcurl's own words are the best ones (TLS).
 */
#include "fetch/fetch_inside.h"

#include <errno.h>
#include <stdio.h>

#include "base/banned.h"

static void say(struct fetch *fetch, const char *reason) {
    snprintf(fetch->reason, sizeof fetch->reason, "%s", reason);
}

static void say_connect_failure(struct fetch *fetch, const struct curl_library *curl) {
    long code = 0;
    curl->easy_getinfo(fetch->easy, CURLINFO_OS_ERRNO, &code);
    if (code == ECONNREFUSED)
        say(fetch, "connection refused: nothing listens there");
    else if (code == EHOSTUNREACH || code == ENETUNREACH)
        say(fetch, "the host cannot be reached");
    else
        say(fetch, "no connection could be made");
}

/* libcurl's word for an answer of HTTP/0.9, which is any answer that does not begin like HTTP, is
 * the same as for an address. */
static enum err judge_protocol(struct fetch *fetch) {
    say(fetch, fetch->is_sent ? "the answer is not HTTP" : "this is no http or https address");
    return fetch->is_sent ? E_UPSTREAM : E_INPUT;
}

/* Turns libcurl's code into ours; fetch->reason becomes a sentence for a person. libcurl's own
 * words stay where they are the best ones (TLS). */
static enum err judge(struct fetch *fetch, const struct curl_library *curl, CURLcode code) {
    switch (code) {
    case CURLE_OK:
        return E_OK;
    case CURLE_OPERATION_TIMEDOUT:
        say(fetch, fetch->is_sent ? "it took too long" : "no connection came about in time");
        return E_TIMEOUT;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return judge_protocol(fetch);
    case CURLE_COULDNT_RESOLVE_HOST:
        say(fetch, "there is no host of this name");
        break;
    case CURLE_COULDNT_CONNECT:
        say_connect_failure(fetch, curl);
        break;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        say(fetch, "the connection broke off");
        break;
    case CURLE_BAD_CONTENT_ENCODING:
        say(fetch, "the compressed answer is damaged");
        break;
    case CURLE_WEIRD_SERVER_REPLY:
        say(fetch, "the answer is not HTTP");
        break;
    default:
        if (fetch->reason[0] == '\0')
            say(fetch, curl->easy_strerror(code));
    }
    return E_UPSTREAM;
}

static void read_retry_after(const struct fetch *fetch, const struct curl_library *curl,
                             struct fetch_result *result) {
    curl_off_t seconds = 0;
    result->retry_after_ms = fetch->retry_after_ms;
    curl->easy_getinfo(fetch->easy, CURLINFO_RETRY_AFTER, &seconds);
    if (result->retry_after_ms == 0 && seconds > 0)
        result->retry_after_ms = seconds < FETCH_RETRY_AFTER_LIMIT_MS / 1000
                                     ? seconds * 1000
                                     : FETCH_RETRY_AFTER_LIMIT_MS;
}

struct fetch_result fetch_result_of(struct fetch *fetch, const struct curl_library *curl,
                                    CURLcode code) {
    struct fetch_result result = {.err = fetch->stopped};
    if (fetch->is_in_multi) {
        long status = 0;
        curl_off_t connect_us = 0, first_byte_us = 0, total_us = 0;
        curl->easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
        curl->easy_getinfo(fetch->easy, CURLINFO_PRETRANSFER_TIME_T, &connect_us);
        curl->easy_getinfo(fetch->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_byte_us);
        curl->easy_getinfo(fetch->easy, CURLINFO_TOTAL_TIME_T, &total_us);
        read_retry_after(fetch, curl, &result);
        result.status = (int)status;
        result.connect_us = connect_us;
        result.first_byte_us = first_byte_us;
        result.total_us = total_us;
    }
    if (!fetch->stopped)
        result.err = judge(fetch, curl, code);
    result.reason = str_from(fetch->stopped ? fetch->stopped_reason : fetch->reason);
    return result;
}
