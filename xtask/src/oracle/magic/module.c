/*
 * A module of any major from 13 to 19, -DMAJOR=…, as fmgr.h's macros of that major make one. -DNAMED gives it a name and a version, which
 * are pointers that the loader relocates.
 */
typedef struct
{
	int			len;
	int			version;
	int			funcmaxargs;
	int			indexmaxkeys;
	int			namedatalen;
	int			float8byval;
#if MAJOR >= 15
	char		abi_extra[32];
#endif
#if MAJOR >= 18
	const char *name;
	const char *module_version;
#endif
} Pg_magic_struct;

typedef struct
{
	int			api_version;
} Pg_finfo_record;

#define EXPORT __attribute__((visibility("default")))

EXPORT const Pg_magic_struct *Pg_magic_func(void);
EXPORT const Pg_finfo_record *pg_finfo_one(void);
EXPORT const Pg_finfo_record *pg_finfo_two(void);

EXPORT const Pg_magic_struct *
Pg_magic_func(void)
{
	static const Pg_magic_struct Pg_magic_data = {
		sizeof(Pg_magic_struct), MAJOR * 100, 100, 32, 64,
		MAJOR >= 19 || sizeof(void *) == 8,
#if MAJOR >= 15
		"PostgreSQL",
#endif
#if MAJOR >= 18 && defined(NAMED)
		"a name", "1.2.3",
#endif
	};

	return &Pg_magic_data;
}

EXPORT const Pg_finfo_record *
pg_finfo_one(void)
{
	static const Pg_finfo_record my_finfo = {1};

	return &my_finfo;
}

/* A version that no server knows, so that a reader that always answers 1 shows. */
EXPORT const Pg_finfo_record *
pg_finfo_two(void)
{
	static const Pg_finfo_record my_finfo = {2};

	return &my_finfo;
}
