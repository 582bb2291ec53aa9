/*
 * json.c
 *	  The lists of members as web handlers hand them on.
 */
#include "postgres.h"

#include "core/spi_query.h"
#include "member/member.h"

SPI_QUERY(users,
		  "SELECT pg_catalog.jsonb_build_object('data',"
		  " pg_catalog.jsonb_build_object('users', coalesce("
		  "(SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object("
		  "'id', usermgmt.public_id('user', m.user_id), 'email', m.email,"
		  " 'name', m.name, 'role', m.role, 'joinedAt', m.joined_at,"
		  " 'lastActive', m.last_login_at, 'status', CASE m.status"
		  " WHEN 'active' THEN m.activity ELSE m.status END)"
		  " ORDER BY m.joined_at, m.user_id) FROM usermgmt.member_detail AS m"
		  " WHERE m.tenant_id = $1), '[]'), 'stats',"
		  " (SELECT pg_catalog.jsonb_build_object('total', s.total,"
		  " 'owners', s.owners, 'admins', s.admins, 'members', s.members,"
		  " 'ownersAndAdmins', s.owners_and_admins, 'active', s.active,"
		  " 'inactive', s.inactive, 'neverLoggedIn', s.never_logged_in,"
		  " 'deactivated', s.deactivated,"
		  " 'pendingInvitations', s.pending_invitations,"
		  " 'licensedNow', s.licensed_now)"
		  " FROM usermgmt.member_statistics AS s))) AS result",
		  UUIDOID);
SPI_QUERY(team,
		  "SELECT pg_catalog.jsonb_build_object('users', coalesce("
		  "pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object("
		  "'user_id', usermgmt.public_id('user', m.user_id),"
		  " 'name', m.name, 'email', m.email, 'role', m.role,"
		  " 'status', m.status, 'last_login', m.last_login_at)"
		  " ORDER BY m.joined_at, m.user_id), '[]'),"
		  " 'total', count(*)) AS result FROM usermgmt.member_detail AS m"
		  " WHERE m.tenant_id = $1",
		  UUIDOID);

static Datum
list_as_json(SpiQuery *query)
{
	Caller caller = caller_require(ROLE_ADMIN);
	Datum result;

	SPI_connect();
	spi_execute(query, SPI_ARGS(ARG_UUID(caller.tenant_id)), SPI_VIEW_QUERY);
	result = SPI_datumTransfer(row_value(spi_row(0), "result"), false, -1);
	SPI_finish();
	return result;
}

PG_FUNCTION_INFO_V1(users_json);
Datum
users_json(PG_FUNCTION_ARGS)
{
	return list_as_json(&users);
}

PG_FUNCTION_INFO_V1(team_json);
Datum
team_json(PG_FUNCTION_ARGS)
{
	return list_as_json(&team);
}
