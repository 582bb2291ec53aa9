/*
 * kept_check.c
 *	  Read the CHECK constraints of our tables once, not for every statement.
 *
 * A statement that writes reads the CHECK constraints of its table from their
 * text, which takes longer than the row. Here they are kept as they were read,
 * and every statement on a table of ours begins with them, whoever runs it.
 * PostgreSQL evaluates them and reports what they refuse, as ever.
 *
 * The same text is the same constraint: it names columns by number, functions
 * and types by oid. So it is compared each time, and a table that was changed
 * is read again. What it names must not change either, nor vanish while a
 * statement runs, hence nothing is kept of a table whose constraints use what
 * is not PostgreSQL's own. Nor must what was computed from constants: settings
 * or a text search configuration may have had their say in it.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "core/compat.h"
#include "core/kept_check.h"

/* The constraints of a table. */
typedef struct Kept
{
	Oid relation; /* the key */
	MemoryContext context;
	int count;
	char **texts;
	Expr **expressions;
	bool is_lasting; /* else they are left to PostgreSQL */
} Kept;

static HTAB *kept_checks;
static ExecutorStart_hook_type next_hook;

static bool
is_added(Oid object)
{
	return object >= FirstUnpinnedObjectId;
}

static bool
is_added_function(Oid function, void *nothing)
{
	return is_added(function);
}

/*
 * The operator of an expression, which is what its negator is looked up by.
 */
static Oid
find_operator(Node *node)
{
	switch (nodeTag(node))
	{
		case T_OpExpr:
		case T_DistinctExpr:
			return ((OpExpr *) node)->opno;
		case T_ScalarArrayOpExpr:
			return castNode(ScalarArrayOpExpr, node)->opno;
		default:
			return InvalidOid;
	}
}

/*
 * Whether there is anything in an expression whose meaning somebody can change.
 */
static bool
can_change(Node *node, void *nothing)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Const:
		case T_Var:
			return is_added(exprType(node)) || is_added(exprCollation(node));
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_ScalarArrayOpExpr:
			if (check_functions_in_node(node, is_added_function, NULL) ||
				is_added(find_operator(node)) || !contain_var_clause(node))
				return true;
			break;
		case T_CollateExpr:
			if (is_added(exprCollation(node)))
				return true;
			break;
		case T_ArrayExpr:
		case T_BoolExpr:
		case T_BooleanTest:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CoalesceExpr:
		case T_List:
		case T_NullTest:
		case T_RelabelType:
			break;
		default:
			return true;
	}
	return expression_tree_walker(node, can_change, NULL);
}

static bool
is_same(const Kept *kept, const TupleConstr *constraints)
{
	if (kept->count != constraints->num_check)
		return false;
	for (int i = 0; i < kept->count; i++)
		if (strcmp(kept->texts[i], constraints->check[i].ccbin) != 0)
			return false;
	return true;
}

/*
 * Whether a constraint can be kept as it was read, and what that is. Only the
 * planner shows which operator takes the place of a negated one.
 */
static bool
read_lasting(Node *constraint, Expr **expression)
{
	if (can_change(constraint, NULL))
		return false;
	*expression = expression_planner((Expr *) constraint);
	return !can_change((Node *) *expression, NULL);
}

/*
 * Read the constraints and keep them in place of those before. A statement that
 * this one is part of may use those yet: somebody can rename a constraint in
 * the middle of it, and then they are in another order.
 */
static void
keep(Kept *kept, const TupleConstr *constraints)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "usermgmt CHECK constraints",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(context);
	int count = constraints->num_check;
	Kept found = {.relation = kept->relation,
				  .context = context,
				  .count = count,
				  .texts = palloc(count * sizeof(char *)),
				  .expressions = palloc(count * sizeof(Expr *)),
				  .is_lasting = checks_are_plain(constraints)};

	for (int i = 0; i < count; i++)
	{
		Node *expression = stringToNode(constraints->check[i].ccbin);

		found.texts[i] = pstrdup(constraints->check[i].ccbin);
		found.is_lasting =
			found.is_lasting && read_lasting(expression, &found.expressions[i]);
	}
	MemoryContextSwitchTo(outer);
	if (kept->context != NULL)
		MemoryContextSetParent(kept->context, TopTransactionContext);
	MemoryContextSetParent(context, TopMemoryContext);
	*kept = found;
}

static const Kept *
find(Relation relation)
{
	const TupleConstr *constraints = RelationGetDescr(relation)->constr;
	bool found;
	Kept *kept = hash_search(kept_checks, &RelationGetRelid(relation),
							 HASH_ENTER, &found);

	if (!found)
	{
		kept->context = NULL;
		kept->count = 0;
		kept->is_lasting = true;
	}
	if (!is_same(kept, constraints))
		keep(kept, constraints);
	return kept;
}

bool
kept_check_lasts(Relation relation)
{
	return RelationGetDescr(relation)->constr == NULL ||
		   find(relation)->is_lasting;
}

/*
 * Give the statement what it would read when it comes to its first row.
 */
static void
supply(ResultRelInfo *target, EState *estate)
{
	Relation relation = target->ri_RelationDesc;
	const TupleConstr *constraints = RelationGetDescr(relation)->constr;
	const Kept *kept;
	MemoryContext outer;

	if (constraints == NULL || constraints->num_check == 0 ||
		RelationGetNamespace(relation) != get_namespace_oid("usermgmt", true))
		return;
	kept = find(relation);
	if (!kept->is_lasting)
		return;
	outer = MemoryContextSwitchTo(estate->es_query_cxt);
	target->ri_CheckConstraintExprs = palloc(kept->count * sizeof(ExprState *));
	for (int i = 0; i < kept->count; i++)
		target->ri_CheckConstraintExprs[i] =
			ExecInitExpr(kept->expressions[i], NULL);
	MemoryContextSwitchTo(outer);
}

static void
start_statement(QueryDesc *statement, int flags)
{
	ListCell *cell;

	if (next_hook != NULL)
		next_hook(statement, flags);
	else
		standard_ExecutorStart(statement, flags);
	if (statement->operation == CMD_DELETE ||
		(flags & EXEC_FLAG_EXPLAIN_ONLY) != 0)
		return;
	foreach (cell, statement->estate->es_opened_result_relations)
		supply(lfirst(cell), statement->estate);
}

void
kept_check_init(void)
{
	HASHCTL control = {.keysize = sizeof(Oid), .entrysize = sizeof(Kept)};

	kept_checks = hash_create("usermgmt CHECK constraints", 64, &control,
							  HASH_ELEM | HASH_BLOBS);
	next_hook = ExecutorStart_hook;
	ExecutorStart_hook = start_statement;
}
