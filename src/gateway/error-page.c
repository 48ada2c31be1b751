/* SPDX-License-Identifier: ISC */

/* Error bodies. The form follows Accept in its simplest reading: the first of the three media types that is
 * named wins, q values aside; who names none (curl, most programs) gets plain text. */

#include "gateway/error-page.h"

#include <stdio.h>

typedef enum Form { FORM_TEXT, FORM_HTML, FORM_JSON } Form;

static Form choose_form(const char *accept, size_t len)
{
    static const struct {
        const char *type;
        Form form;
    } table[] = {{"text/html", FORM_HTML}, {"application/problem+json", FORM_JSON},
            {"application/json", FORM_JSON}, {"text/plain", FORM_TEXT}};
    const char *first = NULL;
    Form form = FORM_TEXT;

    for (size_t i = 0; accept && i < ELEMENTSOF(table); i++) {
        const char *p = memmem(accept, len, table[i].type, strlen(table[i].type));
        if (p && (!first || p < first)) {
            first = p;
            form = table[i].form;
        }
    }
    return form;
}

static void put_escaped(FILE *f, const char *s, Form form)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char) *s;
        if (form == FORM_HTML && strchr("<>&\"'", c))
            fprintf(f, "&#%u;", c);
        else if (form == FORM_JSON && (c < 0x20 || c == '"' || c == '\\'))
            fprintf(f, "\\u%04x", c);
        else
            fputc(c, f);
    }
}

const char *status_phrase(unsigned status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 417:
        return "Expectation Failed";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Error";
    }
}

int error_page_make(
        unsigned status, const char *sentence, const char *accept, size_t accept_len, ErrorPage *ret)
{
    static const char *const types[] = {
            "text/plain; charset=utf-8", "text/html; charset=utf-8", "application/problem+json"};
    Form form = choose_form(accept, accept_len);
    const char *phrase = status_phrase(status);
    char *body = NULL;
    size_t len = 0;

    FILE *f = open_memstream(&body, &len);
    if (!f)
        return -ENOMEM;
    switch (form) {
    case FORM_TEXT:
        fprintf(f, "%u %s\n", status, phrase);
        put_escaped(f, sentence, form);
        fputc('\n', f);
        break;
    case FORM_HTML:
        fprintf(f,
                "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
                "content=\"width=device-width\">\n<title>%u %s</title>\n<style>body{font:1rem/1.5 "
                "system-ui,sans-serif;margin:15vh "
                "auto;max-width:36rem;padding:0 1rem;color-scheme:light dark}</style>\n<h1>%u %s</h1>\n<p>",
                status, phrase, status, phrase);
        put_escaped(f, sentence, form);
        fputs("</p>\n</html>\n", f);
        break;
    case FORM_JSON:
        fprintf(f, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"detail\":\"", phrase, status);
        put_escaped(f, sentence, form);
        fputs("\"}\n", f);
        break;
    }
    bool failed = ferror(f);
    if (fclose(f) != 0 || failed) {
        free(body);
        return -ENOMEM;
    }
    *ret = (ErrorPage){.body = body, .len = len, .content_type = types[form]};
    return 0;
}
