/* help.c: see help.h. */
#include "command/help.h"
#include "command/settings.h"
#include <stdio.h>
#include <string.h>

/* Print `left` in the first column and the lines of `text` in the second. */
static void print_lines(const char *left, int width, const char *text) {
    for (;;) {
        size_t length = strcspn(text, "\n");
        printf("  %-*s%.*s\n", width, left, (int)length, text);
        if (!text[length])
            return;
        text += length + 1;
        left = "";
    }
}

static void print_option(const struct setting_row *s) {
    char left[40];
    if (s->letter)
        snprintf(left, sizeof left, "-%c, --%s %s", s->letter, s->name,
                 s->value ? s->value : "");
    else
        snprintf(left, sizeof left, "--%s %s", s->name,
                 s->value ? s->value : "");
    print_lines(left, 28, s->help);
}

void help_print_command(const struct command *c) {
    printf("usage: contree-engine %s%s%s%s\n\n", c->name,
           *c->options ? " [OPTIONS]" : "", c->operand ? " " : "",
           c->operand ? c->operand : "");
    printf("%s\n%s", c->help, *c->options ? "\n" : "");
    for (size_t i = 0; c->options[i]; i++)
        print_option(&settings[c->options[i]]);
}

void help_print(const struct command *commands) {
    puts("usage: contree-engine COMMAND [OPTIONS]\n");
    for (const struct command *c = commands; c->name; c++)
        print_lines(c->name, 10, c->help);
    puts("\ncontree-engine COMMAND --help tells more.");
}
