/* What LTP's configure would find, as far as its fsstress asks. */
#define HAVE_SYS_PRCTL_H 1
