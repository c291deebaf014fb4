/*
 * Loads one module as the server does, calls Pg_magic_func and the finfo functions that standard input names, and
 * prints what they return. It runs the module's code: only for packages that one trusts.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The largest block: major 18 and later with 8-byte pointers. */
#define MOST 72

static void
print_text(const char *what, const char *text)
{
	if (text != NULL)
		printf("%s %s\n", what, text);
}

static void
print_block(const char *block, unsigned long base)
{
	int			length;
	const char *texts[2];

	memcpy(&length, block, sizeof length);
	printf("address %#lx\n", (unsigned long) block - base);
	printf("ints");
	for (int at = 0; at < 24; at += 4)
	{
		int			value;

		memcpy(&value, block + at, sizeof value);
		printf(" %d", value);
	}
	printf("\n");
	if (length >= 56 && length <= MOST)
	{
		printf("abi ");
		for (int at = 24; at < 56; at++)
			printf("%02x", (unsigned char) block[at]);
		printf("\n");
	}
	if (length == 56 + (int) sizeof texts)
	{
		memcpy(texts, block + 56, sizeof texts);
		print_text("name", texts[0]);
		print_text("version", texts[1]);
	}
}

/* The symbol of the module itself: dlsym also finds those of the libraries that it needs. */
static void *
own_symbol(void *handle, const char *name, const char *path, Dl_info *info)
{
	void	   *symbol = dlsym(handle, name);

	if (symbol == NULL || dladdr(symbol, info) == 0 || strcmp(info->dli_fname, path) != 0)
		return NULL;
	return symbol;
}

int
main(int argc, char **argv)
{
	void	   *handle;
	Dl_info		info;
	char		line[1024];
	const void *(*magic) (void);

	if (argc != 2)
		return 2;
	handle = dlopen(argv[1], RTLD_LAZY | RTLD_LOCAL);
	if (handle == NULL)
	{
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	magic = (const void *(*) (void)) own_symbol(handle, "Pg_magic_func", argv[1], &info);
	if (magic == NULL)
		printf("no Pg_magic_func\n");
	else
		print_block(magic(), (unsigned long) info.dli_fbase);
	while (fgets(line, sizeof line, stdin) != NULL)
	{
		const int  *(*finfo) (void);

		line[strcspn(line, "\n")] = '\0';
		finfo = (const int *(*) (void)) own_symbol(handle, line, argv[1], &info);
		printf("%s %d\n", line, finfo == NULL ? -1 : *finfo());
	}
	fflush(stdout);
	/* Not through the libraries' destructors, which may expect a server around them. */
	_Exit(0);
}
