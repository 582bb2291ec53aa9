#ifndef RELAY_CONFIG_H
#define RELAY_CONFIG_H

#include <stdbool.h>

/* Exit codes of the program. */
#define EXIT_STOPPED 0
#define EXIT_WRONG_CALL 100
#define EXIT_SYSTEM_FAILED 111

/* Where the provider's key is, unless a file holds it. */
#define HTTPS_KEY_VARIABLE "RESEND_API_KEY"

#define WORKER_SIZE 128

typedef enum TlsMode
{
	TLS_REQUIRED,
	TLS_OPPORTUNISTIC,
	TLS_NONE
} TlsMode;

/* The texts belong to argv or the environment and live as long as they do. */
typedef struct Config
{
	const char *database; /* NULL: what libpq finds by itself */
	const char *smtp;
	const char *smtp_user;
	const char *smtp_password_file;
	const char *https;
	const char *https_key_file;
	const char *tls;
	const char *ca_file;
	const char *transport;
	const char *bounce_address;
	const char *worker;
	const char *metrics;
	int connections;
	int batch;
	int poll_ms;
	int timeout_ms;
	int connect_timeout_ms;
	int stall_timeout_ms;
	bool once;
	bool dry_run;
	bool print_config;
	bool bounce;
	const char *bounce_recipient;
	bool verbose;

	TlsMode tls_mode;			   /* read from tls */
	const char *directory;		   /* read from transport; NULL: a server */
	char worker_name[WORKER_SIZE]; /* host:pid unless worker is given */
} Config;

/*
 * Reads the command line over the environment over the defaults.  Gives -1
 * when the program may go on, else the code to exit with, and has then said
 * why.
 */
int config_read(Config *config, int argc, char **argv);

/* Refuses what does not fit together, above all anything that would leak;
 * as config_read(). */
int config_check(Config *config);

/* Says on standard error what is wrong with the call; the exit code. */
int wrong_call(const char *what, const char *detail);

/* Writes every option and its value to standard output. */
void config_print(const Config *config);

#endif
