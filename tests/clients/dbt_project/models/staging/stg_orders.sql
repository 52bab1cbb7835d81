select id as order_id, customer_id, ordered_on, status from {{ source('raw', 'raw_orders') }}
