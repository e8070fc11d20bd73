#pragma once

// Attributes that a file carries with it, on file systems that keep such. Both return a length, or -1 with `errno`.

long cfiles_set_attribute(int file, const char *name, const char *value, long length);
long cfiles_attribute(int file, const char *name, char *value, long capacity);
