/*
 * curl_loop.c
 *	  The limit of a relay: the same mail COUNT times over one connection.
 *
 * usage: curl_loop URL COUNT; prints mails per second.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Reader
{
	const char *text;
	size_t left;
} Reader;

static size_t
read_mail(char *buffer, size_t size, size_t count, void *data)
{
	Reader *reader = data;
	size_t length = size * count < reader->left ? size * count : reader->left;

	memcpy(buffer, reader->text, length);
	reader->text += length;
	reader->left -= length;
	return length;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	static char mail[3500];
	int count = argc == 3 ? atoi(argv[2]) : 0;
	CURL *curl = curl_easy_init();
	struct curl_slist *to = curl_slist_append(NULL, "<somebody@example.org>");
	double began = now();

	if (count <= 0 || curl == NULL)
		return 100;
	for (size_t i = 0; i + 1 < sizeof(mail); i++)
		mail[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : 'x';
	memcpy(mail, "Subject: x\r\n\r\n", 14);
	curl_easy_setopt(curl, CURLOPT_URL, argv[1]);
	curl_easy_setopt(curl, CURLOPT_MAIL_FROM, "<no-reply@example.org>");
	curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
	curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_mail);
	for (int i = 0; i < count; i++)
	{
		Reader reader = {mail, sizeof(mail) - 1};

		curl_easy_setopt(curl, CURLOPT_READDATA, &reader);
		if (curl_easy_perform(curl) != CURLE_OK)
			return 111;
	}
	printf("%.1f\n", count / (now() - began));
	curl_slist_free_all(to);
	curl_easy_cleanup(curl);
	return 0;
}
