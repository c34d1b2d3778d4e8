/* The C library of today has all that LTP's header fills in. */
#include <fcntl.h>
