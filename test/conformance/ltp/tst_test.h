/*
 * As much of LTP's test library as its fsx needs, so that it is built from its one source file: options, results,
 * and system calls that end the test where they fail. A seed comes from the environment, so that a run can be
 * repeated.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { TPASS, TFAIL, TBROK, TINFO, TDEBUG };

struct tst_option {
	const char *optstr;
	char **arg;
	const char *help;
};

struct tst_test {
	int needs_tmpdir;
	int timeout;
	void (*setup)(void);
	void (*cleanup)(void);
	void (*test_all)(void);
	struct tst_option *options;
};

static struct tst_test test;

static void say(int kind, const char *format, va_list words)
{
	if (kind == TDEBUG && getenv("CONFORMANCE_DEBUG") == NULL)
		return;
	vprintf(format, words);
	putchar('\n');
}

static void tst_res(int kind, const char *format, ...)
{
	va_list words;

	va_start(words, format);
	say(kind, format, words);
	va_end(words);
	if (kind == TFAIL)
		exit(1);
}

static void tst_brk(int kind, const char *format, ...)
{
	va_list words;

	va_start(words, format);
	say(kind, format, words);
	va_end(words);
	exit(1);
}

static int tst_parse_filesize(const char *text, long long *value, long long least, long long most)
{
	(void)least, (void)most;
	if (text)
		*value = atoll(text);
	return 0;
}

static int tst_parse_int(const char *text, int *value, int least, int most)
{
	(void)least, (void)most;
	if (text)
		*value = atoi(text);
	return 0;
}

static long checked(const char *call, long result)
{
	if (result == -1)
		tst_brk(TBROK, "%s: %s", call, strerror(errno));
	return result;
}

/* How many bytes must have been moved, or any number of them. */
static long moved(const char *call, int all, long wanted, long result)
{
	checked(call, result);
	if (all && result != wanted)
		tst_brk(TBROK, "%s moved %ld bytes of %ld", call, result, wanted);
	return result;
}

static void *mapped(void *address)
{
	if (address == MAP_FAILED)
		tst_brk(TBROK, "mmap: %s", strerror(errno));
	return address;
}

#define SAFE_OPEN(...) checked("open", open(__VA_ARGS__))
#define SAFE_CLOSE(fd) checked("close", close(fd))
#define SAFE_LSEEK(...) checked("lseek", lseek(__VA_ARGS__))
#define SAFE_FTRUNCATE(...) checked("ftruncate", ftruncate(__VA_ARGS__))
#define SAFE_READ(all, fd, to, bytes) moved("read", all, bytes, read(fd, to, bytes))
#define SAFE_WRITE(all, fd, from, bytes) moved("write", all, bytes, write(fd, from, bytes))
#define SAFE_WRITE_ALL 1
#define SAFE_WRITE_ANY 0
#define SAFE_MALLOC(bytes) malloc(bytes)
#define SAFE_MMAP(...) mapped(mmap(__VA_ARGS__))
#define SAFE_MUNMAP(...) checked("munmap", munmap(__VA_ARGS__))
#define SAFE_MSYNC(...) checked("msync", msync(__VA_ARGS__))

static time_t seed(void)
{
	const char *text = getenv("SEED");

	return text ? atol(text) : 1;
}

#define time(ignored) seed()

int main(int count, char **words)
{
	int word;
	struct tst_option *option;

	for (word = 1; word + 1 < count; word += 2)
		for (option = test.options; option->optstr; option++)
			if (words[word][0] == '-' && words[word][1] == option->optstr[0])
				*option->arg = words[word + 1];
	test.setup();
	test.test_all();
	test.cleanup();
	return 0;
}
