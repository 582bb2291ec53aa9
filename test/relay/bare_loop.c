/*
 * bare_loop.c
 *		Mails one after the other over one connection: what libcurl can do.
 *
 * usage: bare_loop URL COUNT; prints mails per second.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LETTER_SIZE 3500 /* an invitation's */

static size_t delivered;

static size_t
on_read(char *buffer, size_t size, size_t count, void *letter)
{
	size_t left = LETTER_SIZE - delivered;
	size_t now = left < size * count ? left : size * count;

	memcpy(buffer, (char *) letter + delivered, now);
	delivered += now;
	return now;
}

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	static char letter[LETTER_SIZE];
	int count = argc == 3 ? atoi(argv[2]) : 0;
	struct curl_slist *to = curl_slist_append(NULL, "p@example.org");
	CURL *curl = curl_easy_init();
	double began = seconds();

	if (count <= 0)
		return 100;
	for (int i = 0; i < LETTER_SIZE; i++)
		letter[i] = i % 70 == 68 ? '\r' : i % 70 == 69 ? '\n' : 'x';
	curl_easy_setopt(curl, CURLOPT_URL, argv[1]);
	curl_easy_setopt(curl, CURLOPT_MAIL_FROM, "no-reply@localhost");
	curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
	curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(curl, CURLOPT_READDATA, letter);
	for (int i = 0; i < count; i++)
	{
		delivered = 0;
		if (curl_easy_perform(curl) != CURLE_OK)
			return 1;
	}
	printf("%.1f\n", count / (seconds() - began));
	curl_easy_cleanup(curl);
	curl_slist_free_all(to);
	return 0;
}
