-- name: get
SELECT to_json({
    'assistant_id': assistant_id,
    'graph_id': graph_id,
    'name': name,
    'description': description,
    'config': config,
    'context': context,
    'metadata': metadata,
    'version': version,
    'created_at': moment(created_at),
    'updated_at': moment(updated_at)
})
FROM assistants
WHERE assistant_id = $assistant_id;

-- name: search
SELECT to_json({
    'assistant_id': assistant_id,
    'graph_id': graph_id,
    'name': name,
    'description': description,
    'config': config,
    'context': context,
    'metadata': metadata,
    'version': version,
    'created_at': moment(created_at),
    'updated_at': moment(updated_at)
})
FROM assistants
WHERE ($graph_id IS NULL OR graph_id = $graph_id)
  AND ($name IS NULL OR contains(lower(name), lower($name)));

-- name: insert
INSERT INTO assistants VALUES (
    $assistant_id, $graph_id, $name, $description, $config, $context, $metadata, $version, $created_at, $updated_at
);

-- name: update
-- What a graph says about itself. Its assistant's configuration is its users'.
UPDATE assistants
   SET graph_id = $graph_id, name = $name, description = $description, updated_at = $updated_at
 WHERE assistant_id = $assistant_id;
