select customers.customer_id, customers.customer_name, customers.country,
       count(orders.order_id) as order_count, max(orders.ordered_on) as last_ordered_on
from {{ ref('stg_customers') }} as customers
left join {{ ref('orders') }} as orders on orders.customer_id = customers.customer_id
group by customers.customer_id, customers.customer_name, customers.country
