#include "CFiles.h"

#include <sys/types.h>
#include <sys/xattr.h>

#ifdef __APPLE__
long cfiles_set_attribute(int file, const char *name, const char *value, long length) {
    return fsetxattr(file, name, value, (size_t)length, 0, 0) == 0 ? length : -1;
}

long cfiles_attribute(int file, const char *name, char *value, long capacity) {
    return fgetxattr(file, name, value, (size_t)capacity, 0, 0);
}
#else
long cfiles_set_attribute(int file, const char *name, const char *value, long length) {
    return fsetxattr(file, name, value, (size_t)length, 0) == 0 ? length : -1;
}

long cfiles_attribute(int file, const char *name, char *value, long capacity) {
    return fgetxattr(file, name, value, (size_t)capacity);
}
#endif
