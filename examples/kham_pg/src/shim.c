/*
 * The four functions of a text search parser (CREATE TEXT SEARCH PARSER), over the Rust segmenter.
 *
 * C keeps what needs PostgreSQL's macros and its error handling; no Rust frame is on the stack when ereport() jumps.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "tsearch/ts_public.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(kham_start);
PG_FUNCTION_INFO_V1(kham_gettoken);
PG_FUNCTION_INFO_V1(kham_end);
PG_FUNCTION_INFO_V1(kham_lextypes);

/*
 * The numbers are those of the default parser's kinds (wparser_def.c), so that prsd_headline() knows what a blank is.
 */
#define KHAM_WORD 1
#define KHAM_THAI 2
#define KHAM_BLANK 12
#define KHAM_NUMBER 22

/* src/ffi.rs */
typedef struct KhamParser KhamParser;
extern KhamParser *kham_parser_new(const char *text, size_t length);
extern int	kham_parser_next(KhamParser *parser, const char **token, size_t *length);
extern void kham_parser_free(KhamParser *parser);

typedef struct KhamState
{
	KhamParser *parser;
	MemoryContextCallback callback;
} KhamState;

/* Frees the Rust side when the context goes, which is what an error between start and end leaves to us. */
static void
kham_release(void *argument)
{
	KhamState  *state = (KhamState *) argument;

	if (state->parser != NULL)
		kham_parser_free(state->parser);
	state->parser = NULL;
}

Datum
kham_start(PG_FUNCTION_ARGS)
{
	char	   *text = (char *) PG_GETARG_POINTER(0);
	int			length = PG_GETARG_INT32(1);
	KhamState  *state;

	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("text search parser \"kham\" needs a database in UTF8"),
				 errdetail("The encoding of this database is %s.", GetDatabaseEncodingName())));

	state = (KhamState *) palloc0(sizeof(KhamState));
	state->callback.func = kham_release;
	state->callback.arg = state;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &state->callback);
	state->parser = kham_parser_new(text, (size_t) length);
	if (state->parser == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("text search parser \"kham\" was given text that is not UTF-8")));
	PG_RETURN_POINTER(state);
}

Datum
kham_gettoken(PG_FUNCTION_ARGS)
{
	KhamState  *state = (KhamState *) PG_GETARG_POINTER(0);
	char	  **token = (char **) PG_GETARG_POINTER(1);
	int		   *length = (int *) PG_GETARG_POINTER(2);
	const char *start = NULL;
	size_t		bytes = 0;
	int			kind = kham_parser_next(state->parser, &start, &bytes);

	if (kind < 0)
		elog(ERROR, "text search parser \"kham\" failed inside");
	*token = (char *) start;
	*length = (int) bytes;
	PG_RETURN_INT32(kind);
}

Datum
kham_end(PG_FUNCTION_ARGS)
{
	kham_release(PG_GETARG_POINTER(0));
	PG_RETURN_VOID();
}

Datum
kham_lextypes(PG_FUNCTION_ARGS)
{
	static const struct
	{
		int			id;
		const char *alias;
		const char *description;
	}			kinds[] = {
		{KHAM_WORD, "word", "Word of a script with spaces"},
		{KHAM_THAI, "thai", "Thai word"},
		{KHAM_BLANK, "blank", "Space symbols"},
		{KHAM_NUMBER, "number", "Number"},
	};
	LexDescr   *result = (LexDescr *) palloc0(sizeof(LexDescr) * (lengthof(kinds) + 1));

	/* The entry with lexid 0 ends the list. */
	for (int i = 0; i < lengthof(kinds); i++)
	{
		result[i].lexid = kinds[i].id;
		result[i].alias = pstrdup(kinds[i].alias);
		result[i].descr = pstrdup(kinds[i].description);
	}
	PG_RETURN_POINTER(result);
}
