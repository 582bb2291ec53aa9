/*
 * words.h: values of ours in the language of a mail.
 */
#ifndef USERMGMT_WORDS_H
#define USERMGMT_WORDS_H

/* The value of this variable in the language of the locale, where it is one
 * of ours (a role, a permission ...); else as it is. Lists are translated
 * piece by piece. */
extern char *word_in(const char *locale, const char *variable,
					 const char *value);

/* A value that people typed as mails show it: without the characters that
 * turn the direction of the text around them. palloc'd. */
extern char *text_tame(const char *value);

#endif
