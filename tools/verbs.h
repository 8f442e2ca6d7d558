/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs of framebusctl, a file each. @args are the words behind the verb, as many as the table in
 * framebusctl.c allows, NULL behind them. Each returns an exit status and has told what went wrong. */
#pragma once

#include "tools/options.h"

int verb_access(const Options *o, char **args);
int verb_list(const Options *o, char **args);
int verb_show(const Options *o, char **args);
int verb_negotiate(const Options *o, char **args);
int verb_watch(const Options *o, char **args);
int verb_snapshot(const Options *o, char **args);
int verb_record(const Options *o, char **args);
int verb_publish(const Options *o, char **args);
int verb_who(const Options *o, char **args);
int verb_controls(const Options *o, char **args);
