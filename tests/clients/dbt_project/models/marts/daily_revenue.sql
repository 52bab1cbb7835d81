-- depends_on: {{ source('raw', 'raw_exchange_rates') }}
select orders.ordered_on, sum(orders.amount * rates.usd_per_unit) as revenue_usd
from {{ ref('orders') }} as orders
join {{ target.schema }}.{{ var('rates') }} as rates on rates.currency = orders.currency
where orders.status <> 'returned'
group by orders.ordered_on
