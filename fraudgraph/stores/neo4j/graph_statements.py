"""The statements that write a commit's graph: one for all kinds of a thing, for each costs a way to the server.

Parameters hold rows by label or type of relationship (`$Device`, `$SENT_TO`): a list of lists, numbers first.
Index hints, because a plan made while the database is empty would scan, and is kept.
"""

from __future__ import annotations

from typing import Final

from fraudgraph.stores.neo4j.model import at_once, for_entities, for_identifiers, for_sends

UPDATE_ENTITIES: Final = at_once(
    for_entities(
        """
    UNWIND $User AS row
    MATCH (n:User) USING INDEX n:User(number) WHERE n.number = row[0]
    WITH n, row, n.id AS before
    SET n.id = row[1], n.mask = row[2]
    RETURN collect(row[0]) AS found, sum(CASE WHEN before <> row[1] THEN 1 ELSE 0 END) AS changed, 'User' AS name""",
        """
    UNWIND $LABEL AS row
    MATCH (n:LABEL) USING INDEX n:LABEL(number) WHERE n.number = row[0]
    WITH n, row, n.key AS before
    SET n.key = row[1], n.mask = row[2]
    RETURN collect(row[0]) AS found, sum(CASE WHEN before <> row[1] THEN 1 ELSE 0 END) AS changed, 'LABEL' AS name""",
    )
)
CREATE_ENTITIES: Final = at_once(
    for_entities(
        """
    UNWIND $User AS row CREATE (:User {number: row[0], id: row[1], mask: row[2]}) RETURN count(*) AS written""",
        """
    UNWIND $LABEL AS row CREATE (:LABEL {number: row[0], key: row[1], mask: row[2]}) RETURN count(*) AS written""",
    )
)
# The number is another entity's from now on, in the same commit: links that were not deleted are that one's.
RENEW_ENTITIES: Final = at_once(
    for_entities(
        """
    UNWIND $User AS row
    MATCH (n:User) USING INDEX n:User(number) WHERE n.number = row[0]
    SET n = {number: row[0], id: row[1], mask: row[2]}
    RETURN collect(row[0]) AS found, 'User' AS name""",
        """
    UNWIND $LABEL AS row
    MATCH (n:LABEL) USING INDEX n:LABEL(number) WHERE n.number = row[0]
    SET n = {number: row[0], key: row[1], mask: row[2]}
    RETURN collect(row[0]) AS found, 'LABEL' AS name""",
    )
)
LEAVE_RINGS: Final = """
    UNWIND $rows AS number
    MATCH (n:User)-[m:MEMBER_OF]->() USING INDEX n:User(number) WHERE n.number = number
    DELETE m"""
DELETE_ENTITIES: Final = at_once(
    for_entities(
        """
    UNWIND $User AS number
    MATCH (n:User) USING INDEX n:User(number) WHERE n.number = number
    DETACH DELETE n RETURN count(*) AS gone""",
        """
    UNWIND $LABEL AS number
    MATCH (n:LABEL) USING INDEX n:LABEL(number) WHERE n.number = number
    DETACH DELETE n RETURN count(*) AS gone""",
    )
)
UPDATE_USERS: Final = """
    UNWIND $rows AS row
    MATCH (n:User) USING INDEX n:User(number) WHERE n.number = row[0]
    SET n.first_ms = row[1], n.last_ms = row[2], n.signup_ms = row[3], n.first_spend_ms = row[4], n.logins = row[5],
        n.orders = row[6], n.payments = row[7], n.declined = row[8], n.refunds = row[9], n.chargebacks = row[10],
        n.referrals = row[11], n.transfers_out = row[12], n.transfers_in = row[13], n.label = row[14]
    RETURN count(*) AS written"""
UPDATE_LINKS: Final = at_once(
    for_identifiers(
        """
    UNWIND $USES AS row
    MATCH (u)-[r:USES]->(n) USING INDEX r:USES(slot) WHERE r.slot = row[0]
    SET r.first_ms = row[3], r.last_ms = row[4], r.count = row[5], r.sources = row[6], r.prev_first_ms = row[7],
        r.prev_last_ms = row[8], r.prev_count = row[9]
    RETURN collect(row[0]) AS found,
        sum(CASE WHEN u.number <> row[1] OR n.number <> row[2] THEN 1 ELSE 0 END) AS changed"""
    )
)
CREATE_LINKS: Final = at_once(
    for_identifiers(
        """
    UNWIND $USES AS row
    MATCH (u:User) USING INDEX u:User(number) WHERE u.number = row[1]
    MATCH (n:LABEL) USING INDEX n:LABEL(number) WHERE n.number = row[2]
    CREATE (u)-[:USES {slot: row[0], first_ms: row[3], last_ms: row[4], count: row[5], sources: row[6],
        prev_first_ms: row[7], prev_last_ms: row[8], prev_count: row[9]}]->(n)
    RETURN count(*) AS written"""
    )
)
COUNT_LINKS: Final = at_once(
    for_identifiers(
        """
    UNWIND $rows AS slot
    MATCH ()-[r:USES]->() USING INDEX r:USES(slot) WHERE r.slot = slot
    RETURN count(*) AS found"""
    )
)
DELETE_LINKS: Final = at_once(
    for_identifiers(
        """
    UNWIND $rows AS slot
    MATCH ()-[r:USES]->() USING INDEX r:USES(slot) WHERE r.slot = slot
    DELETE r RETURN count(*) AS gone"""
    )
)
UPDATE_ORDERS: Final = """
    UNWIND $rows AS row
    MATCH (o:Order)<-[:PLACED]-(u) USING INDEX o:Order(slot) WHERE o.slot = row[0]
    SET o.ts_ms = row[2], o.amount_minor = row[3], o.refunded_minor = row[4], o.charged_minor = row[5],
        o.currency = row[6], o.status = row[7]
    RETURN collect(row[0]) AS found,
        sum(CASE WHEN u.number <> row[1] OR o.key <> row[8] THEN 1 ELSE 0 END) AS changed"""
CREATE_ORDERS: Final = """
    UNWIND $rows AS row
    MATCH (u:User) USING INDEX u:User(number) WHERE u.number = row[1]
    CREATE (u)-[:PLACED]->(:Order {slot: row[0], ts_ms: row[2], amount_minor: row[3], refunded_minor: row[4],
        charged_minor: row[5], currency: row[6], status: row[7], key: row[8]})
    RETURN count(*) AS written"""
DELETE_ORDERS: Final = (
    "UNWIND $rows AS slot MATCH (o:Order) USING INDEX o:Order(slot) WHERE o.slot = slot DETACH DELETE o"
)
UPDATE_TRANSFERS: Final = at_once(
    for_sends(
        """
    UNWIND $SENDS AS row
    MATCH (a)-[r:SENDS]->(b) USING INDEX r:SENDS(slot) WHERE r.slot = row[0]
    SET r.first_ms = row[3], r.last_ms = row[4], r.count = row[5], r.amount_minor = row[6], r.currency = row[7]
    RETURN collect(row[0]) AS found,
        sum(CASE WHEN a.number <> row[1] OR b.number <> row[2] THEN 1 ELSE 0 END) AS changed"""
    )
)
CREATE_TRANSFERS: Final = at_once(
    for_sends(
        """
    UNWIND $SENDS AS row
    MATCH (a:User) USING INDEX a:User(number) WHERE a.number = row[1]
    MATCH (b:User) USING INDEX b:User(number) WHERE b.number = row[2]
    CREATE (a)-[:SENDS {slot: row[0], first_ms: row[3], last_ms: row[4], count: row[5], amount_minor: row[6],
        currency: row[7]}]->(b)
    RETURN count(*) AS written"""
    )
)
COUNT_TRANSFERS: Final = at_once(
    for_sends(
        """
    UNWIND $rows AS slot
    MATCH ()-[r:SENDS]->() USING INDEX r:SENDS(slot) WHERE r.slot = slot
    RETURN count(*) AS found"""
    )
)
DELETE_TRANSFERS: Final = at_once(
    for_sends(
        """
    UNWIND $rows AS slot
    MATCH ()-[r:SENDS]->() USING INDEX r:SENDS(slot) WHERE r.slot = slot
    DELETE r RETURN count(*) AS gone"""
    )
)
LAST_ENTITY: Final = for_entities(
    """
    MATCH (n:User) WHERE n.number >= $first AND n.number < $end
    RETURN n.number AS number ORDER BY number DESC LIMIT 1""",
    """
    MATCH (n:LABEL) WHERE n.number >= $first AND n.number < $end
    RETURN n.number AS number ORDER BY number DESC LIMIT 1""",
)
LAST_LINK: Final = for_identifiers(
    """
    MATCH ()-[r:USES]->() WHERE r.slot >= $first AND r.slot < $end
    RETURN r.slot AS number ORDER BY number DESC LIMIT 1"""
)
LAST_TRANSFER: Final = for_sends(
    """
    MATCH ()-[r:SENDS]->() WHERE r.slot >= $first AND r.slot < $end
    RETURN r.slot AS number ORDER BY number DESC LIMIT 1"""
)
LAST_ORDER: Final = """
    MATCH (o:Order) WHERE o.slot >= $first AND o.slot < $end RETURN o.slot AS number ORDER BY number DESC LIMIT 1"""
