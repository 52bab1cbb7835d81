select orders.order_id, orders.customer_id, orders.ordered_on, orders.status,
       sum(payments.amount) as amount, min(payments.currency) as currency
from {{ ref('stg_orders') }} as orders
left join {{ ref('stg_payments') }} as payments on payments.order_id = orders.order_id
group by orders.order_id, orders.customer_id, orders.ordered_on, orders.status
